//! Runs to which things happen: kills, full disks, closed terminals, changed pictures, a second program.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use burn::tensor::{Device, Tensor};
use chrysalis::data::{Dataset, Squaring};
use chrysalis::kernels::training;
use chrysalis::noise::{Noise, Purpose};
use chrysalis::train::{Limits, Run, RunFolder, StopReason, TrainConfig, TrainError, Trainer};

use crate::support::{disc, folder_of_discs, small_config, text, write_small_toml};

static GO: AtomicBool = AtomicBool::new(false);

fn load(folder: &Path) -> Dataset {
    Dataset::load(&text(folder), 16, Squaring::Pad).unwrap()
}

fn start(folder: &Path, config: TrainConfig, dataset: &Dataset) -> Result<Run, TrainError> {
    Run::start(RunFolder::new(folder), config, 0, dataset, None, &[Device::flex()])
}

fn resume(folder: &Path, dataset: &Dataset) -> Result<Run, TrainError> {
    Run::resume(RunFolder::new(folder), small_config(), 0, dataset, &[Device::flex()])
}

/// The program, told to train `pictures` in `folder`/run, to resume if there is something to resume.
fn program(folder: &Path, pictures: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_train"));
    let run = folder.join("run");
    command.args(["--device", "cpu", "--data", &text(pictures), "--out", &text(&run)]).args(more).current_dir(folder);
    if run.join("config.toml").exists() {
        command.arg("--resume");
    } else {
        write_small_toml(folder, 16, "checkpoint_every = 4");
        command.args(["--config", "small.toml"]);
    }
    command.stderr(Stdio::piped());
    command
}

fn newest_step(folder: &Path) -> Option<u64> {
    let names = std::fs::read_dir(folder.join("run/stage-1/checkpoints")).ok()?;
    names.flatten().filter_map(|entry| entry.file_name().to_str()?.strip_prefix("step-")?.parse().ok()).max()
}

#[test]
fn a_run_survives_fifty_kills_and_loses_at_most_what_came_after_a_checkpoint() {
    let (folder, pictures) = (tempfile::tempdir().unwrap(), folder_of_discs(6, 16));
    let mut noise = Noise::new(50, Purpose::Probe);
    let mut reached = 0;
    for _ in 0..50 {
        let mut child: Child = program(folder.path(), pictures.path(), &[]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(50 + noise.below(400) as u64));
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("rror"), "{said}");
        let step = newest_step(folder.path()).unwrap_or(0);
        assert!(step >= reached, "step {reached} was there and is not any more");
        reached = step;
    }
    assert!(reached > 0, "some of the fifty got somewhere");
    let last = (reached + 9).to_string();
    let output = program(folder.path(), pictures.path(), &["--steps", &last]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    // Each step is in the log once, and nothing half-written is left.
    let log = std::fs::read_to_string(folder.path().join("run/stage-1/log.csv")).unwrap();
    let steps: Vec<u64> = log.lines().skip(1).map(|line| line.split(',').next().unwrap().parse().unwrap()).collect();
    assert_eq!(steps, (1..=reached + 9).collect::<Vec<_>>());
    let aside = walkdir::WalkDir::new(folder.path()).into_iter().flatten();
    let aside: BTreeSet<_> = aside
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(".aside-"))
        .map(|e| e.path().to_owned())
        .collect();
    assert!(aside.is_empty(), "{aside:?}");
}

#[test]
fn two_programs_do_not_train_in_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let lock = RunFolder::new(folder.path()).lock().unwrap();
    let error = RunFolder::new(folder.path()).lock().unwrap_err();
    assert!(matches!(error, TrainError::FolderInUse(_)), "{error}");
    drop(lock);
    RunFolder::new(folder.path()).lock().unwrap();
}

#[test]
fn a_closed_terminal_does_not_end_a_run() {
    let (folder, pictures) = (tempfile::tempdir().unwrap(), folder_of_discs(6, 16));
    let mut child = program(folder.path(), pictures.path(), &["--steps", "5"]).spawn().unwrap();
    drop(child.stderr.take());
    assert!(child.wait().unwrap().success());
    assert_eq!(newest_step(folder.path()), Some(5));
}

#[test]
fn a_log_and_grids_that_cannot_be_written_do_not_end_a_run() {
    let (folder, pictures) = (tempfile::tempdir().unwrap(), folder_of_discs(6, 16));
    let config = TrainConfig { sample_every: 2, checkpoint_every: 2, ..small_config() };
    let mut run = start(folder.path(), config, &load(pictures.path())).unwrap();
    let stage = folder.path().join("stage-1");
    // Every write to it finds the disk full; and no folder can be made where a file is.
    std::fs::remove_file(stage.join("log.csv")).unwrap();
    #[cfg(target_os = "linux")]
    std::os::unix::fs::symlink("/dev/full", stage.join("log.csv")).unwrap();
    std::fs::write(stage.join("samples"), "").unwrap();
    let outcome = run.train(Limits::default(), &GO).unwrap();
    assert_eq!((outcome.reason, outcome.steps), (StopReason::Finished, 6));
    assert!(stage.join("checkpoints/step-00000006").exists());
}

#[test]
fn a_checkpoint_that_cannot_be_written_ends_no_run_before_its_end_and_blames_no_other() {
    let (folder, pictures) = (tempfile::tempdir().unwrap(), folder_of_discs(6, 16));
    let config = TrainConfig { checkpoint_every: 2, ..small_config() };
    let mut run = start(folder.path(), config, &load(pictures.path())).unwrap();
    std::fs::write(folder.path().join("stage-1/checkpoints"), "").unwrap();
    let error = run.train(Limits::default(), &GO).unwrap_err().to_string();
    assert!(error.contains("checkpoints") && !error.contains("emove"), "{error}");
    let log = std::fs::read_to_string(folder.path().join("stage-1/log.csv")).unwrap();
    assert_eq!(log.lines().count(), 7, "all six steps were taken");
}

/// The files below a folder with the bytes that they take, in blocks of 4 kB.
#[cfg(target_os = "linux")]
fn blocks(folder: &Path) -> u64 {
    let files = walkdir::WalkDir::new(folder).into_iter().flatten().filter(|entry| entry.file_type().is_file());
    files.map(|entry| entry.metadata().unwrap().len().div_ceil(4096) * 4096).sum()
}

/// A disk of its own in a name space of its own, where the system lets one have that: it fills up while a run writes to
/// it, and has room again when the run is resumed.
#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_fills_up_costs_no_checkpoint_that_is_there_and_ends_the_run_at_its_end() {
    let (folder, pictures) = (tempfile::tempdir().unwrap(), folder_of_discs(6, 16));
    // What the run takes, with one checkpoint.
    let output = program(folder.path(), pictures.path(), &["--steps", "4"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let run = folder.path().join("run");
    let (all, checkpoint) = (blocks(&run), blocks(&run.join("stage-1/checkpoints")));
    std::fs::remove_dir_all(&run).unwrap();
    write_small_toml(folder.path(), 16, "checkpoint_every = 4");
    // Two more and a half, which is the one that does not fit. Directories and the root take a block each at most.
    let room = all + checkpoint + checkpoint / 2;
    let script = format!(
        "mkdir run && mount -t tmpfs -o size={room} tmpfs run || exit 77
         \"$0\" --config small.toml --steps 21 --device cpu --data \"$1\" --out run
         echo \"ended with $?\"
         find run | sort
         wc -l < run/stage-1/log.csv
         mount -o remount,size=16m run || exit 77
         \"$0\" --resume --steps 21 --device cpu --out run
         echo \"ended with $?\"
         find run -name 'step-*' | sort"
    );
    let mut alone = Command::new("unshare");
    alone.args(["-Urm", "sh", "-c", &script, env!("CARGO_BIN_EXE_train")]).arg(pictures.path());
    let output = match alone.current_dir(folder.path()).output() {
        Ok(output) if output.status.success() => output,
        other => {
            eprintln!("left out: this system gives no disk of one's own to a name space ({other:?})");
            return;
        }
    };
    let (found, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let (full, resumed) = found
        .split_once("ended with 1\n")
        .unwrap_or_else(|| panic!("it was to fail: {found}{said}"))
        .1
        .split_once("ended with ")
        .unwrap();
    // What was there when the disk was full is there still, whole, and nothing half-written beside it.
    for there in
        ["run/stage-1/checkpoints/step-00000004/state.toml", "run/stage-1/checkpoints/step-00000008/state.toml"]
    {
        assert!(full.contains(there), "{there} is not there any more:\n{full}");
    }
    assert!(!full.contains("step-00000012") && !full.contains(".aside-"), "{full}");
    // It went on to its last step and said each time what it could not write; and nobody is told to remove anything.
    let told = said.matches("the checkpoint was not written, and the run goes on: ").count();
    assert_eq!(told, 3, "{said}");
    assert!(
        said.contains("o space left") && said.contains("run/stage-1/checkpoints/") && !said.contains("emove"),
        "{said}"
    );
    assert_eq!(full.lines().last(), Some("22"), "each of 21 steps has its row: {full}");
    // From the last good checkpoint, with room again.
    assert!(resumed.starts_with("0\n") && resumed.contains("step-00000021"), "{resumed}{said}");
}

/// A limit on the size of files stands in for a disk that fills up in the middle of a row.
#[cfg(target_os = "linux")]
#[test]
fn half_a_row_is_taken_back_from_the_log() {
    // A single picture has no components, which would be too large a file.
    let (folder, pictures) = (tempfile::tempdir().unwrap(), folder_of_discs(1, 16));
    write_small_toml(folder.path(), 16, "checkpoint_every = 0");
    let output = Command::new("bash")
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_train"))
        .args([
            "--config",
            "small.toml",
            "--steps",
            "250",
            "--device",
            "cpu",
            "--data",
            &text(pictures.path()),
            "--out",
            "run",
        ])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("the log was not written, and the run goes on: "), "{said}");
    let log = std::fs::read_to_string(folder.path().join("run/stage-1/log.csv")).unwrap();
    assert!((8000..8192).contains(&log.len()) && log.ends_with('\n'), "{} bytes", log.len());
    let steps: Vec<usize> = log.lines().skip(1).map(|line| line.split(',').next().unwrap().parse().unwrap()).collect();
    assert_eq!(steps, (1..=steps.len()).collect::<Vec<_>>());
    assert!(log.lines().all(|line| line.matches(',').count() == 6), "{log}");
}

#[test]
fn a_table_of_qualities_with_its_old_column_is_still_read() {
    let (folder, pictures) = (tempfile::tempdir().unwrap(), folder_of_discs(6, 16));
    let dataset = load(pictures.path());
    start(folder.path(), small_config(), &dataset).unwrap().train(Limits::default(), &GO).unwrap();
    let table = folder.path().join("stage-1/quality.csv");
    std::fs::write(&table, "step,kid_x1000,deviation\n3,81.5,2.25\n6,70.0,1.5\n9,60.0,1.0\n").unwrap();
    resume(folder.path(), &dataset).unwrap();
    // With the column's new name, and without what the resumed run has still to do.
    assert_eq!(std::fs::read_to_string(&table).unwrap(), "step,kid,deviation\n3,81.5,2.25\n6,70.0,1.5\n");
}

#[test]
fn starting_over_checkpoints_is_refused_even_when_they_are_damaged() {
    let (folder, pictures) = (tempfile::tempdir().unwrap(), folder_of_discs(6, 16));
    std::fs::create_dir_all(folder.path().join("stage-1/checkpoints/step-00000009")).unwrap();
    let error = start(folder.path(), small_config(), &load(pictures.path())).err().unwrap();
    assert!(matches!(error, TrainError::FolderHoldsRun(_)), "{error}");
}

#[test]
fn a_step_that_is_saved_again_stays_where_it_is() {
    let (folder, pictures) = (tempfile::tempdir().unwrap(), folder_of_discs(6, 16));
    let dataset = load(pictures.path());
    start(folder.path(), small_config(), &dataset).unwrap().train(Limits::default(), &GO).unwrap();
    let model = folder.path().join("stage-1/checkpoints/step-00000006/model.bpk");
    let written = || std::fs::metadata(&model).unwrap().modified().unwrap();
    let before = written();
    resume(folder.path(), &dataset).unwrap().train(Limits::default(), &GO).unwrap();
    assert_eq!(written(), before);
}

#[test]
fn a_resumed_run_notices_other_pictures_and_another_squaring() {
    let (folder, pictures) = (tempfile::tempdir().unwrap(), folder_of_discs(6, 16));
    start(folder.path(), small_config(), &load(pictures.path())).unwrap().train(Limits::default(), &GO).unwrap();
    assert!(resume(folder.path(), &load(pictures.path())).is_ok());
    // As many as before, and one of them is another.
    std::fs::write(pictures.path().join("003.png"), disc(77, 16).to_png().unwrap()).unwrap();
    let error = resume(folder.path(), &load(pictures.path())).err().unwrap().to_string();
    assert!(error.contains("6 pictures, and now they are other ones"), "{error}");

    let wide = tempfile::tempdir().unwrap();
    image::RgbImage::from_fn(24, 16, |x, _| image::Rgb([x as u8 * 9, 0, 0])).save(wide.path().join("a.png")).unwrap();
    let squared = |squaring| Dataset::load(&text(wide.path()), 16, squaring).unwrap().fingerprint();
    assert_ne!(squared(Squaring::Pad), squared(Squaring::Crop));
}

#[test]
fn a_torn_line_is_no_row_of_the_log() {
    let (folder, pictures) = (tempfile::tempdir().unwrap(), folder_of_discs(6, 16));
    let dataset = load(pictures.path());
    start(folder.path(), small_config(), &dataset)
        .unwrap()
        .train(Limits { images: Some(24), time: None }, &GO)
        .unwrap();
    let log = folder.path().join("stage-1/log.csv");
    let whole = std::fs::read_to_string(&log).unwrap();
    // Written twice, and then torn in the middle of a row whose first digits are a step that was done.
    std::fs::write(&log, format!("{whole}{}\n1", whole.lines().last().unwrap())).unwrap();
    resume(folder.path(), &dataset).unwrap().train(Limits::default(), &GO).unwrap();
    let steps: Vec<String> = std::fs::read_to_string(&log)
        .unwrap()
        .lines()
        .skip(1)
        .map(|line| line.split(',').next().unwrap().into())
        .collect();
    assert_eq!(steps, ["1", "2", "3", "4", "5", "6"]);
}

#[test]
fn weights_of_a_file_keep_their_average() {
    let pictures = folder_of_discs(6, 16);
    let dataset = load(pictures.path());
    let mut config = small_config();
    config.stages[0].steps = 20_000;
    config.stages[0].learning_rate = 1e-1;
    config.stages[0].warmup_steps = 0;
    let fresh =
        |config: &TrainConfig| Trainer::measured(config, &config.stages[0], &dataset, &[Device::flex()]).unwrap();
    let mut first = fresh(&config);
    first.step(&dataset).unwrap();
    let loaded = first.stage().unet;
    let moved = |mut trainer: Trainer| {
        trainer.step(&dataset).unwrap();
        let after = trainer.stage().unet.trunk().stem.unit();
        (after - loaded.trunk().stem.unit()).abs().max().into_scalar::<f32>()
    };
    let continued = moved(fresh(&config).continue_from(loaded.clone()));
    // A thousandth of a step's change and not nine tenths of it.
    assert!(continued > 0.0 && continued < 1e-3, "{continued}");
    // In a short run the average is shorter: half of the change, where twenty steps are planned.
    config.stages[0].steps = 20;
    assert!(moved(fresh(&config).continue_from(loaded.clone())) > 100.0 * continued);
}

#[test]
fn what_is_no_number_stays_none_on_its_way_through_the_kernels() {
    let device = Device::flex();
    let mut values = vec![0.5f32; 2 * 4 * 4 * 48];
    values[100] = f32::NAN;
    let x = Tensor::<4>::from_data(burn::tensor::TensorData::new(values, [2, 4, 4, 48]), &device);
    let is_none = |x: Tensor<4>| x.into_data().try_into_vec::<f32>().unwrap().iter().any(|x| x.is_nan());
    assert!(is_none(training::activate(x.clone(), 1.0)));
    assert!(is_none(training::normalise(x.clone(), 16)));
    assert!(is_none(training::attend(x.clone(), 16)));
    assert!(is_none(training::blend(x.clone(), x.clone(), [0.5, 0.5])));
    assert!(is_none(chrysalis::kernels::attend(x.clone(), chrysalis::kernels::Attention { width: 16 })));
    let kernel = Tensor::<4>::ones([48, 48, 1, 1], &device);
    let packing = chrysalis::kernels::Packing { outputs: 48, inputs: 48, side: 1, rows: 1, scale: 1.0 };
    let packed = chrysalis::kernels::pack(kernel, Tensor::ones([1], &device), packing);
    let epilogue = chrysalis::kernels::Epilogue::Blend { main: 1.0 };
    let convolution = chrysalis::kernels::Convolution { side: 1, outputs: 48, epilogue };
    assert!(is_none(chrysalis::kernels::convolve(x.clone(), packed, x, convolution)));
}
