//! The programs as people run them.

use std::path::Path;
use std::process::{Command, Output};

use chrysalis::device::required_token;
use chrysalis::picture::Picture;
use chrysalis::png;

use crate::support::{fixture, folder_of_discs, text, write_small_toml};

fn run(program: &str, arguments: &[&str], folder: &Path) -> Output {
    Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env_remove("BURN_DEVICE")
        .env("HF_ENDPOINT", "http://127.0.0.1:9")
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn picture(path: &Path) -> Picture {
    Picture::from_png(&std::fs::read(path).unwrap()).unwrap()
}

const SAMPLE: &str = env!("CARGO_BIN_EXE_sample");
const TRAIN: &str = env!("CARGO_BIN_EXE_train");
const EXPORT: &str = env!("CARGO_BIN_EXE_export");
const EVALUATE: &str = env!("CARGO_BIN_EXE_evaluate");

#[test]
fn sample_writes_grids_strips_and_single_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = text(&fixture("tiny.safetensors"));
    let sample = |more: &[&str]| {
        let mut arguments =
            vec!["--weights", &tiny, "--device", "cpu", "--steps", "8", "--seed", "7", "--sampler", "heun"];
        arguments.extend(more);
        let output = run(SAMPLE, &arguments, folder.path());
        assert!(output.status.success(), "{}", stderr(&output));
    };
    sample(&["--count", "4", "--out", "deep/grid.png"]);
    let grid = picture(&folder.path().join("deep/grid.png"));
    assert_eq!((grid.width(), grid.height()), (38, 38));

    sample(&["--count", "2", "--strip", "--out", "strip.png"]);
    let strip = picture(&folder.path().join("strip.png"));
    assert_eq!((strip.width(), strip.height()), (2 + 11 * 18, 2 + 2 * 18));

    sample(&["--count", "3", "--each", "--out", "each", "--batch-size", "2"]);
    let golden = picture(&fixture("golden.png"));
    assert!(picture(&folder.path().join("each/00000007.png")).largest_difference(&golden).unwrap() <= 1);
    assert!(folder.path().join("each/00000009.png").exists());
}

#[test]
fn sample_begins_with_a_picture_if_there_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = text(&fixture("tiny.safetensors"));
    let sample = |more: &[&str]| {
        let mut arguments = vec!["--weights", &tiny, "--device", "cpu", "--steps", "4", "--seed", "7", "--each"];
        arguments.extend(more);
        run(SAMPLE, &arguments, folder.path())
    };
    let made = |name: &str, more: &[&str]| {
        let output = sample(&[&["--count", "1", "--out", name], more].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        picture(&folder.path().join(name).join("00000007.png"))
    };
    // Twice as wide as high: it is laid on its own border's colour.
    let wide = image::RgbImage::from_fn(64, 32, |x, _| image::Rgb([4 * x as u8, 90, 200]));
    wide.save(folder.path().join("wide.png")).unwrap();
    let alone = made("alone", &[]);
    let much = made("much", &["--image", "wide.png", "--strength", "0.75"]);
    let usual = made("usual", &["--image", "wide.png"]);
    let all = made("all", &["--image", "wide.png", "--strength", "1"]);
    let different: Vec<&Picture> = vec![&alone, &much, &usual];
    assert!(different.iter().enumerate().all(|(at, one)| different[..at].iter().all(|other| one != other)));
    // At its strongest the noise leaves nothing of the picture but its brightness.
    assert!(all.psnr(&alone).unwrap() > 20.0, "{:?}", all.psnr(&alone));

    let mut erased = image::RgbaImage::from_pixel(16, 16, image::Rgba([10, 120, 30, 255]));
    (0..16).for_each(|y| (8..16).for_each(|x| erased.put_pixel(x, y, image::Rgba([0; 4]))));
    erased.save(folder.path().join("erased.png")).unwrap();
    let inpainted = made("inpainted", &["--inpaint", "erased.png"]);
    let pixels: Vec<&[u8]> = inpainted.rgb().chunks_exact(3).collect();
    let kept = |index: usize| pixels[index].iter().zip([10u8, 120, 30]).all(|(a, b)| a.abs_diff(b) <= 1);
    assert!((0..256).all(|index| index % 16 >= 8 || kept(index)), "the left half stays");
    assert!((0..256).any(|index| index % 16 >= 8 && !kept(index)), "the right one is made anew");

    let error = |more: &[&str]| {
        let output = sample(&[&["--count", "1", "--out", "no"], more].concat());
        assert!(!output.status.success(), "{more:?} succeeded");
        stderr(&output)
    };
    assert!(error(&["--inpaint", "wide.png"]).contains("not square, but 64 × 32"));
    assert!(
        error(&["--inpaint", "inpainted/00000007.png"]).contains("nothing in inpainted/00000007.png is transparent")
    );
    assert!(error(&["--image", "nowhere.png"]).contains("nowhere.png cannot be read"));
    assert!(error(&["--image", "wide.png", "--strength", "2"]).contains("a number from 0 to 1"));
    assert!(error(&["--strength", "0.5"]).contains("--image"));
    assert!(error(&["--image", "wide.png", "--inpaint", "erased.png"]).contains("cannot be used with"));
    std::fs::write(folder.path().join("bad.png"), b"bad").unwrap();
    assert!(error(&["--image", "bad.png"]).contains("bad.png cannot be begun with"));
}

#[test]
fn sample_works_with_the_shipped_weights_and_every_sampler() {
    let folder = tempfile::tempdir().unwrap();
    for sampler in ["heun", "heun:20", "dpm", "dpm-sde", "ddim:0.5", "ddpm"] {
        let name = format!("{}.png", sampler.replace(':', "-"));
        let output = run(
            SAMPLE,
            &["--count", "1", "--steps", "2", "--sampler", sampler, "--device", "cpu", "--out", &name],
            folder.path(),
        );
        assert!(output.status.success(), "{}", stderr(&output));
        assert_eq!(picture(&folder.path().join(name)).width(), 132);
    }
    // Its file says what the page is to be asked for; one that the page cannot make says nothing.
    let each = |more: &[&str]| {
        let arguments = ["--count", "2", "--seed", "8", "--steps", "2", "--device", "cpu", "--each", "--out", "each"];
        let output = run(SAMPLE, &[&arguments[..], more].concat(), folder.path());
        assert!(output.status.success(), "{}", stderr(&output));
        png::text(&std::fs::read(folder.path().join("each/00000009.png")).unwrap(), png::KEYWORD)
    };
    assert_eq!(
        each(&["--sampler", "heun:20"]).as_deref(),
        Some("seed=9&steps=2&sampler=heun:20&weights=weights/butterflies-128.safetensors")
    );
    let file = text(&Path::new(env!("CARGO_MANIFEST_DIR")).join("weights/butterflies-128.safetensors"));
    for more in [&["--weights", &file][..], &["--schedule", "linear"]] {
        assert_eq!(each(more), None, "{more:?}");
    }
    let many = ["--seed", "7", "--count", "1", "--steps", "65", "--device", "cpu", "--each", "--out", "many"];
    assert!(run(SAMPLE, &many, folder.path()).status.success());
    let said = png::text(&std::fs::read(folder.path().join("many/00000007.png")).unwrap(), png::KEYWORD);
    assert_eq!(said, None, "the page takes no more than 64 steps");
}

#[test]
fn sample_explains_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let error = |arguments: &[&str]| {
        let output = run(SAMPLE, arguments, folder.path());
        assert!(!output.status.success(), "{arguments:?} succeeded");
        stderr(&output)
    };
    assert!(
        error(&["--weights", "nowhere.safetensors", "--out", "a.png", "--device", "cpu"])
            .contains("nowhere.safetensors: opening failed")
    );
    std::fs::write(folder.path().join("bad.safetensors"), b"bad").unwrap();
    let message = error(&["--weights", "bad.safetensors", "--out", "a.png", "--device", "cpu"]);
    assert!(message.contains("bad.safetensors: the weight file has 3 bytes"), "{message}");
    assert!(error(&["--sampler", "euler", "--out", "a.png"]).contains("choose heun, heun:CHURN"));
    assert!(error(&["--device", "abacus", "--out", "a.png"]).contains("choose auto, gpu, cpu"));
    assert!(error(&["--steps", "0", "--out", "a.png"]).contains("--steps"));
    assert!(
        error(&["--seed", "18446744073709551615", "--count", "2", "--out", "a.png"]).contains("past the largest seed")
    );
    assert!(error(&["--device", "cuda", "--out", "a.png"]).contains("--features cuda"));
}

#[test]
fn train_export_and_sample_work_hand_in_hand() {
    let pictures = folder_of_discs(6, 16);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("small.toml"),
        "sample_count = 1\nsample_steps = 2\n\
         [[stages]]\nbatch_size = 4\nshape = { image_size = 8, patch = 1, enlarges = 1, layers = { widths = [8, 16], depth = 1, head_width = 8, embedding = 16 } }\n\
         [[stages]]\nbatch_size = 4\nshape = { image_size = 16, patch = 2, enlarges = 2, layers = { widths = [8], depth = 1, head_width = 0, embedding = 16 } }\n",
    )
    .unwrap();
    let data = text(pictures.path());
    let start = [
        "--config",
        "small.toml",
        "--data",
        &data,
        "--out",
        "runs/a",
        "--device",
        "cpu",
        "--steps",
        "3",
        "--seed",
        "5",
    ];
    let output = run(TRAIN, &start, folder.path());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("6 pictures at 16 × 16")
            && stderr(&output).contains("stage 2: finished after 3 steps"),
        "{}",
        stderr(&output)
    );

    let again = run(TRAIN, &start, folder.path());
    assert!(!again.status.success() && stderr(&again).contains("continue it with --resume"), "{}", stderr(&again));

    let more = [
        "--out",
        "runs/a",
        "--resume",
        "--steps",
        "5",
        "--device",
        "cpu",
        "--export",
        "a.safetensors",
        "--storage",
        "int8",
        "--name",
        "Discs",
    ];
    let output = run(TRAIN, &more, folder.path());
    assert!(output.status.success() && stderr(&output).contains("after 5 steps"), "{}", stderr(&output));
    assert!(std::fs::read_to_string(folder.path().join("a.md")).unwrap().contains("# Discs"));

    let output =
        run(EXPORT, &["--run", "runs/a", "--out", "b.safetensors", "--data-licence", "CC BY 4.0"], folder.path());
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(std::fs::read_to_string(folder.path().join("b.md")).unwrap().contains("CC BY 4.0"));
    let export = ["--run", "runs/a", "--out", "few.safetensors", "--usual-steps", "3"];
    let output = run(EXPORT, &export, folder.path());
    assert!(output.status.success(), "{}", stderr(&output));

    let sampled = |weights: &str, more: &[&str]| {
        let start = ["--weights", weights, "--count", "2", "--device", "cpu", "--out", "b.png"];
        let output = run(SAMPLE, &[&start, more].concat(), folder.path());
        assert!(output.status.success(), "{}", stderr(&output));
        picture(&folder.path().join("b.png")).rgba()
    };
    let (in_three, in_twelve) =
        (sampled("b.safetensors", &["--steps", "3"]), sampled("b.safetensors", &["--steps", "12"]));
    assert!(in_three != in_twelve);
    assert!(sampled("b.safetensors", &[]) == in_twelve);
    assert!(sampled("few.safetensors", &[]) == in_three, "as many as the file says");
    let heun = |weights, more: &[&str]| sampled(weights, &[&["--sampler", "heun"], more].concat());
    assert!(heun("few.safetensors", &[]) == heun("b.safetensors", &["--steps", "12"]), "for its own sampler alone");
    std::fs::copy(folder.path().join("b.png"), folder.path().join("begun.png")).unwrap();
    for way in [["--image", "begun.png"], ["--schedule", "linear"]] {
        let in_twelve = sampled("b.safetensors", &[way, ["--steps", "12"]].concat());
        assert!(sampled("few.safetensors", &way) == in_twelve, "{way:?}");
    }

    let further = [
        "--from",
        "b.safetensors",
        "--data",
        &data,
        "--out",
        "runs/b",
        "--device",
        "cpu",
        "--steps",
        "1",
        "--batch-size",
        "2",
    ];
    let output = run(TRAIN, &further, folder.path());
    assert!(output.status.success() && stderr(&output).contains("16 × 16"), "{}", stderr(&output));
}

#[test]
fn a_run_that_began_with_weights_goes_on_with_them_and_is_tuned() {
    let pictures = folder_of_discs(8, 16);
    let folder = tempfile::tempdir().unwrap();
    let data = text(pictures.path());
    let shapes = [
        "shape = { image_size = 8, patch = 1, enlarges = 1, layers = { widths = [8, 16], depth = 1, head_width = 8, embedding = 16 } }",
        "shape = { image_size = 16, patch = 2, enlarges = 2, layers = { widths = [8], depth = 1, head_width = 0, embedding = 16 } }",
    ];
    let settings = |shapes: [&str; 2]| {
        let [one, two] = shapes.map(|shape| format!("[[stages]]\nbatch_size = 4\nwarmup_steps = 0\n{shape}\n"));
        format!("sample_count = 0\nlog_every = 1\n{one}{two}")
    };
    std::fs::write(folder.path().join("whole.toml"), settings(shapes)).unwrap();
    // The shapes are the weight file's.
    std::fs::write(folder.path().join("further.toml"), settings([""; 2])).unwrap();
    let train = |arguments: &[&str]| {
        let output = run(TRAIN, &[&["--data", &data, "--device", "cpu"], arguments].concat(), folder.path());
        assert!(output.status.success(), "{}", stderr(&output));
        stderr(&output)
    };
    let losses = |run: &str, stage: &str| -> Vec<String> {
        let table = std::fs::read_to_string(folder.path().join(run).join(stage).join("log.csv")).unwrap();
        table.lines().skip(1).map(|line| line.split(',').nth(3).unwrap().to_string()).collect()
    };
    train(&["--config", "whole.toml", "--out", "a", "--steps", "40", "--export", "a.safetensors"]);

    let further = ["--config", "further.toml", "--from", "a.safetensors"];
    train(&[&further[..], &["--out", "at-once", "--steps", "2"]].concat());
    train(&[&further[..], &["--out", "in-turn", "--steps", "2", "--stage", "2"]].concat());
    train(&["--out", "in-turn", "--resume", "--steps", "2"]);
    assert_eq!(losses("at-once", "stage-1"), losses("in-turn", "stage-1"), "the stage that came later began elsewhere");

    let tune = ["--from", "a.safetensors", "--adversarial", "--batch-size", "4", "--out", "tuned", "--steps", "3"];
    let said = train(&[&tune[..], &["--images", "8", "--finishes-from", "40,0.5"]].concat());
    assert!(said.contains("train --resume --stage 2 --out tuned"), "{said}");
    assert!(!folder.path().join("tuned/stage-1").exists(), "only the last stage is tuned");
    train(&["--resume", "--stage", "2", "--out", "tuned"]);
    let output = run(EXPORT, &["--run", "tuned", "--out", "tuned.safetensors"], folder.path());
    assert!(output.status.success(), "{}", stderr(&output));
    let card = std::fs::read_to_string(folder.path().join("tuned.md")).unwrap();
    assert_eq!(card.matches("in one evaluation from σ = 40").count(), 1, "{card}");
    assert!(card.contains("from σ = 40 times the data's scale") && card.contains("and again from 0.5 |"), "{card}");
    assert!(card.contains("160 pictures seen") && card.contains("172 pictures seen"), "{card}");

    // An ordinary run is no tuning, and a damaged one no new one.
    let refused = |arguments: &[&str]| {
        let output =
            run(TRAIN, &[&["--data", &data, "--device", "cpu", "--out", "a"], arguments].concat(), folder.path());
        assert!(!output.status.success());
        stderr(&output)
    };
    let said = refused(&["--resume", "--adversarial"]);
    assert!(said.contains("trained as usual") && said.contains("--from"), "{said}");
    std::fs::remove_file(folder.path().join("a/stage-2/checkpoints/step-00000040/state.toml")).unwrap();
    let said = refused(&["--resume", "--steps", "41"]);
    assert!(said.contains("state.toml") && !said.contains("already holds a run"), "{said}");
    let before = folder.path().join("a/from.safetensors");
    let said = refused(&["--from", "tuned.safetensors"]);
    assert!(said.contains("choose another --out") && !before.exists(), "{said}");
}

#[test]
fn export_writes_over_its_own_files_only() {
    let pictures = folder_of_discs(4, 8);
    let folder = tempfile::tempdir().unwrap();
    let data = text(pictures.path());
    let train = ["--data", &data, "--out", "runs/a", "--device", "cpu", "--steps", "1", "--image-size", "8"];
    write_small_toml(folder.path(), 8, "");
    let output = run(TRAIN, &[&train[..8], &["--config", "small.toml"]].concat(), folder.path());
    assert!(output.status.success(), "{}", stderr(&output));
    let export = ["--run", "runs/a", "--out", "model.safetensors"];
    for _ in 0..2 {
        assert!(run(EXPORT, &export, folder.path()).status.success(), "its own files may be replaced");
    }
    for (name, other) in [("model.md", "my notes"), ("model.safetensors", "my thesis")] {
        std::fs::write(folder.path().join(name), other).unwrap();
        let output = run(EXPORT, &export, folder.path());
        assert!(!output.status.success() && stderr(&output).contains(name), "{}", stderr(&output));
        assert_eq!(std::fs::read_to_string(folder.path().join(name)).unwrap(), other, "{name} is as it was");
        std::fs::remove_file(folder.path().join(name)).unwrap();
    }
}

#[test]
fn evaluate_measures_and_export_notes_it() {
    let pictures = folder_of_discs(12, 8);
    let folder = tempfile::tempdir().unwrap();
    let data = text(pictures.path());
    write_small_toml(folder.path(), 8, "");
    let train = [
        "--data",
        &data,
        "--out",
        "runs/a",
        "--device",
        "cpu",
        "--steps",
        "1",
        "--config",
        "small.toml",
        "--export",
        "a.safetensors",
    ];
    assert!(run(TRAIN, &train, folder.path()).status.success());
    let evaluate = ["--weights", "a.safetensors", "--data", &data, "--count", "9", "--steps", "2", "--device", "cpu"];
    let output = run(EVALUATE, &[&evaluate[..], &["--report", "report"]].concat(), folder.path());
    if stderr(&output).contains("quality-network.sh") {
        assert!(std::env::var_os("CHRYSALIS_ALL_TESTS").is_none());
        return;
    }
    assert!(output.status.success(), "{}", stderr(&output));
    let file = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let quality: serde_json::Value = serde_json::from_str(&file("report/quality.json")).unwrap();
    assert_eq!(quality, serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap(), "what is printed");
    assert_eq!(quality["judgements"][0]["scores"]["generated"], 9);
    assert_eq!(quality["sampler"], "dpm-sde", "what suits a first stage that is not tuned");
    assert_eq!(quality["samplers"].as_array().unwrap().len(), 12, "four samplers at three numbers of evaluations");
    let heun = quality["samplers"].as_array().unwrap().iter().filter(|row| row["sampler"].to_string().contains("heun"));
    assert!(heun.map(|row| row["evaluations"].as_u64().unwrap()).eq([9, 19, 39]), "what it took of 10, 20 and 40");
    let page = file("report/index.html");
    assert!(page.contains("reduced 4 times") && page.contains("closest.png") && page.contains("<svg"), "{page}");
    for picture in ["grid.png", "closest.png"] {
        assert!(folder.path().join("report").join(picture).exists(), "{picture}");
    }

    std::fs::write(folder.path().join("notes.md"), "## Known faults\n\nDiscs are round.\n").unwrap();
    let export =
        ["--run", "runs/a", "--out", "b.safetensors", "--quality", "report/quality.json", "--notes", "notes.md"];
    let output = run(EXPORT, &export, folder.path());
    assert!(output.status.success(), "{}", stderr(&output));
    let kid = quality["judgements"][0]["scores"]["kid"].as_f64().unwrap();
    // Small discs against small discs are hundreds apart: no digit behind the point.
    assert!(file("b.md").contains(&format!("| KID × 1000 | {kid:.0} |")), "{}", file("b.md"));
    assert!(file("b.md").contains("\nDiscs are round.\n"));

    let none = run(EVALUATE, &[&evaluate[..], &["--network", "none.safetensors"]].concat(), folder.path());
    assert!(!none.status.success() && stderr(&none).contains("scripts/quality-network.sh"), "{}", stderr(&none));
}

#[test]
fn train_off_line_names_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(TRAIN)
        .args(["--device", "cpu", "--out", "runs/a"])
        .current_dir(folder.path())
        .env("HF_ENDPOINT", "http://127.0.0.1:9")
        .env("HF_HOME", folder.path().join("cache"))
        .output()
        .unwrap();
    let message = stderr(&output);
    assert!(!output.status.success());
    assert!(
        message.contains("huggan/smithsonian_butterflies_subset") && message.contains("--data FOLDER"),
        "{message}"
    );
    assert!(!folder.path().join("runs/a/config.toml").exists(), "nothing is started");
}

#[test]
fn interrupting_finishes_the_step_saves_and_exits_well() {
    let pictures = folder_of_discs(6, 16);
    let folder = tempfile::tempdir().unwrap();
    write_small_toml(folder.path(), 16, "");
    let mut child = Command::new(TRAIN)
        .args([
            "--config",
            "small.toml",
            "--data",
            &text(pictures.path()),
            "--out",
            "runs/a",
            "--device",
            "cpu",
            "--steps",
            "1000000",
        ])
        .current_dir(folder.path())
        .spawn()
        .unwrap();
    let log = folder.path().join("runs/a/stage-1/log.csv");
    let rows = || std::fs::read_to_string(&log).map_or(0, |text| text.lines().count());
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while rows() < 3 && std::time::Instant::now() < deadline {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert!(child.wait().unwrap().success());
    assert_eq!(std::fs::read_dir(folder.path().join("runs/a/stage-1/checkpoints")).unwrap().count(), 1);
}

#[test]
fn a_device_is_lent_to_other_machines_only_for_a_token() {
    let required = |token: Option<&str>, listen: &str| {
        required_token(token.map(String::from), listen.parse().unwrap()).map_err(|error| error.to_string())
    };
    for home in ["127.0.0.1:3000", "127.7.7.7:3000", "[::1]:3000"] {
        assert_eq!(required(None, home), Ok(None));
    }
    let long = "a token of some length";
    for open in ["0.0.0.0:3000", "192.168.1.4:3000", "[::]:3000", "[::ffff:127.0.0.1]:3000", "[2001:db8::1]:80"] {
        let error = required(None, open).unwrap_err();
        assert!(error.contains(open) && error.contains("--token-file") && error.contains("CHRYSALIS_TOKEN"), "{error}");
        assert_eq!(required(Some(long), open), Ok(Some(long.into())));
    }
    for token in ["", "fifteen letters"] {
        let error = required(Some(token), "127.0.0.1:3000").unwrap_err();
        assert!(error.contains(&format!("has {} bytes and needs at least 16", token.len())), "{error}");
    }
}
