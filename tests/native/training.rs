//! Training: it learns, it stops and goes on as if it had not, and it loses nothing.

use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use chrysalis::command::export::{self, About};
use chrysalis::data::{Dataset, Squaring};
use chrysalis::diffusion::{Cascade, NoiseLevels, Plan, Sampler, Stage};
use chrysalis::noise::{Noise, Purpose};
use chrysalis::picture::Picture;
use chrysalis::quality::NetworkError;
use chrysalis::quality::matrix::Matrix;
use chrysalis::train::{
    Adversarial, Beginnings, EarlierStages, Limits, Precision, Run, RunFolder, StopReason, TrainConfig, TrainError,
    Trained, Trainer, Which, clusters,
};
use chrysalis::weights::Storage;

use crate::support::{config_with, folder_of_discs, small_cascade, small_config, text};

static GO: AtomicBool = AtomicBool::new(false);

fn discs() -> Dataset {
    let folder = folder_of_discs(12, 16);
    Dataset::load(&text(folder.path()), 16, Squaring::Pad).unwrap()
}

fn start(folder: &Path, config: TrainConfig) -> Run {
    Run::start(RunFolder::new(folder), config, 0, &discs(), None, &[Device::flex()]).unwrap()
}

fn resume(folder: &Path, config: TrainConfig) -> Run {
    Run::resume(RunFolder::new(folder), config, 0, &discs(), &[Device::flex()]).unwrap()
}

/// The bytes of a run's newest checkpoint but for the time it took.
fn newest(folder: &Path) -> Vec<Vec<u8>> {
    let checkpoints = RunFolder::new(folder).stage(0).checkpoints();
    let mut places: Vec<_> = std::fs::read_dir(checkpoints).unwrap().map(|entry| entry.unwrap().path()).collect();
    places.sort();
    let newest = places.pop().unwrap();
    ["model.bpk", "average.bpk"].iter().map(|name| std::fs::read(newest.join(name)).unwrap()).collect()
}

#[test]
fn a_resumed_run_ends_bit_for_bit_where_an_uninterrupted_one_does() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = small_config();
    let outcome = start(whole.path(), config.clone()).train(Limits::default(), &GO).unwrap();
    assert_eq!((outcome.reason, outcome.steps, outcome.images), (StopReason::Finished, 6, 48));

    // Two steps by the limit of pictures, then the rest by another process's worth of state.
    let limits = Limits { images: Some(16), time: None };
    let outcome = start(parts.path(), config.clone()).train(limits, &GO).unwrap();
    assert_eq!((outcome.reason, outcome.steps), (StopReason::ImageLimit, 2));
    let outcome = resume(parts.path(), config).train(Limits::default(), &GO).unwrap();
    assert_eq!((outcome.reason, outcome.steps, outcome.images), (StopReason::Finished, 6, 48));

    let values = |bytes: &[Vec<u8>]| bytes.iter().map(|part| tensor_bytes(part)).collect::<Vec<_>>();
    assert!(values(&newest(whole.path())) == values(&newest(parts.path())), "weights or their average differ");
    let losses = |folder: &Path| {
        let text = std::fs::read_to_string(RunFolder::new(folder).stage(0).log()).unwrap();
        text.lines().skip(1).map(|line| line.split(',').nth(3).unwrap().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(losses(whole.path()), losses(parts.path()));
    assert_eq!(losses(whole.path()).len(), 6);
}

/// The tensors of a record in order of path; parameter ids differ from process to process and are not compared.
fn tensor_bytes(record: &[u8]) -> Vec<(String, Vec<u8>)> {
    use burn::module::Module;
    let record = burn::store::ModuleRecord::from_bytes(burn::tensor::Bytes::from_bytes_vec(record.to_vec())).unwrap();
    let unet = chrysalis::unet::UNet::new(&small_config().stages[0].shape.unet(), 0, &Device::flex())
        .unwrap()
        .told_of_changes(chrysalis::data::LABELS, 0, &Device::flex())
        .try_load_record(record)
        .unwrap();
    let mut collect = Collect::default();
    unet.visit(&mut collect);
    collect.0
}

#[derive(Default)]
struct Collect(Vec<(String, Vec<u8>)>);

impl burn::module::ModuleVisitor for Collect {
    fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<burn::tensor::Tensor<D>>) {
        let data = param.val().into_data();
        self.0.push((format!("{:?}", data.shape()), data.as_bytes().to_vec()));
    }
}

#[test]
fn training_learns() {
    let config = config_with(|stage| (stage.steps, stage.warmup_steps, stage.learning_rate) = (200, 5, 2e-2));
    let dataset = discs();
    let mut trainer = Trainer::measured(&config, &config.stages[0], &dataset, &[Device::flex()]).unwrap();
    let losses: Vec<f64> = (0..200).map(|_| trainer.step(&dataset).unwrap().loss).collect();
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let (before, after) = (mean(&losses[..5]), mean(&losses[180..]));
    assert!((0.7..1.4).contains(&before), "an untrained network's loss is the target's variance, one: {before}");
    // Half of the bands hold next to nothing but noise, about which there is nothing to learn.
    assert!(after < 0.93 * before, "from {before} to {after}");
}

#[test]
fn two_devices_compute_the_gradient_of_one() {
    let dataset = discs();
    // Sums of products in 16 bits, on processors that have them, depend on how many are summed at once.
    let config = TrainConfig { precision: Precision::F32, ..small_config() };
    let losses = |devices: &[Device]| {
        let mut trainer = Trainer::measured(&config, &config.stages[0], &dataset, devices).unwrap();
        (0..4)
            .map(|_| trainer.step(&dataset).unwrap())
            .map(|report| (report.loss, report.gradient_norm))
            .collect::<Vec<_>>()
    };
    let (one, two) = (losses(&[Device::flex()]), losses(&[Device::flex(), Device::flex()]));
    for (a, b) in one.iter().zip(&two) {
        assert!((a.0 - b.0).abs() < 1e-4 * a.0 && (a.1 - b.1).abs() < 2e-3 * a.1, "{one:?} and {two:?}");
    }
}

#[test]
fn a_run_keeps_its_last_three_checkpoints_and_everything_else_it_should() {
    let folder = tempfile::tempdir().unwrap();
    let config = TrainConfig { checkpoint_every: 1, sample_every: 3, ..small_config() };
    start(folder.path(), config.clone()).train(Limits::default(), &GO).unwrap();
    let names = |path: &Path| {
        let mut names: Vec<_> =
            std::fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names(folder.path()), ["config.toml", "stage-1"]);
    let stage = folder.path().join("stage-1");
    assert_eq!(names(&stage), ["bands.json", "checkpoints", "components.safetensors", "log.csv", "samples"]);
    assert_eq!(names(&stage.join("checkpoints")), ["step-00000004", "step-00000005", "step-00000006"]);
    assert_eq!(names(&stage.join("samples")), ["step-00000003.png", "step-00000006.png"]);
    let grid = chrysalis::picture::Picture::from_png(&std::fs::read(stage.join("samples/step-00000006.png")).unwrap());
    assert_eq!((grid.as_ref().unwrap().width(), grid.unwrap().height()), (2 + 2 * 18, 2 + 2 * 18));

    let read = TrainConfig::read(&folder.path().join("config.toml")).unwrap();
    assert_eq!(read, config);
}

#[test]
fn a_folder_in_use_is_not_overwritten_and_an_empty_one_not_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let error =
        Run::resume(RunFolder::new(folder.path()), small_config(), 0, &discs(), &[Device::flex()]).err().unwrap();
    assert!(error.to_string().contains("no checkpoint to resume from"), "{error}");
    // A run that died before its first checkpoint has nothing to lose, and can be started again.
    start(folder.path(), small_config());
    start(folder.path(), small_config()).train(Limits::default(), &GO).unwrap();
    let again = Run::start(RunFolder::new(folder.path()), small_config(), 0, &discs(), None, &[Device::flex()]);
    assert!(matches!(again, Err(TrainError::FolderHoldsRun(_))));
}

#[test]
fn stopping_saves_and_a_limit_of_time_holds() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = start(folder.path(), small_config()).train(Limits::default(), &AtomicBool::new(true)).unwrap();
    assert_eq!((outcome.reason, outcome.steps), (StopReason::Interrupted, 0));
    assert_eq!(newest(folder.path()).len(), 2);
    let limits = Limits { time: Some(Duration::ZERO), images: None };
    let outcome = resume(folder.path(), small_config()).train(limits, &GO).unwrap();
    assert_eq!(outcome.reason, StopReason::TimeLimit);
}

#[test]
fn a_loss_that_is_no_number_stops_with_the_last_checkpoint_intact() {
    let folder = tempfile::tempdir().unwrap();
    let quiet = |config| TrainConfig { sample_count: 0, ..config };
    let sound = quiet(config_with(|stage| (stage.steps, stage.warmup_steps) = (1000, 0)));
    start(folder.path(), sound.clone()).train(Limits { images: Some(16), time: None }, &GO).unwrap();
    let before = newest(folder.path());
    // Weights cannot grow, but gains can: a learning rate this large drives them past every number.
    let mut unsound = TrainConfig { checkpoint_every: 1, ..sound.clone() };
    unsound.stages[0].learning_rate = 1e38;
    let error = resume(folder.path(), unsound).train(Limits::default(), &GO).unwrap_err();
    let TrainError::NotANumber { step, .. } = error else { panic!("{error}") };
    assert!(step > 2 && error.to_string().contains(&format!("at step {step}")), "{error}");
    assert!(before == newest(folder.path()), "the last checkpoint is as it was");
    let outcome = resume(folder.path(), sound).train(Limits { images: Some(32), time: None }, &GO).unwrap();
    assert_eq!(outcome.steps, 4);
}

#[test]
fn a_run_goes_on_with_the_pictures_it_began_with() {
    let folder = tempfile::tempdir().unwrap();
    start(folder.path(), small_config()).train(Limits { images: Some(8), time: None }, &GO).unwrap();
    let others = folder_of_discs(11, 16);
    let others = Dataset::load(&text(others.path()), 16, Squaring::Pad).unwrap();
    let error =
        Run::resume(RunFolder::new(folder.path()), small_config(), 0, &others, &[Device::flex()]).err().unwrap();
    assert!(error.to_string().contains("began with 12 pictures, and now there are 11"), "{error}");
}

#[test]
fn clusters_say_more_of_pictures_than_a_single_gaussian() {
    // Three kinds of points in six dimensions.
    let drawn = |seed: u64, count: usize| -> Vec<Vec<f64>> {
        let mut noise = Noise::new(seed, Purpose::Probe);
        let mut one = |index: usize| {
            let kind = [0, 1, 1, 2][index % 4];
            (0..6)
                .map(|axis| [4.0, -3.0, 0.0][kind] * (axis % 3) as f64 + [0.3, 1.0, 0.6][kind] * noise.gaussian())
                .collect()
        };
        (0..count).map(&mut one).collect()
    };
    let matrix = |rows: Vec<Vec<f64>>| Matrix::new(rows.concat(), 6);
    let found = clusters(&matrix(drawn(1, 600)), 0.5).unwrap();
    assert_eq!((found.count(), found.width()), (25, 6), "one for two dozen pictures");
    let density = |point: &[f64], shares: &[f32], centres: &[f32], deviations: &[f32]| -> f64 {
        let rows = centres.chunks_exact(6).zip(deviations.chunks_exact(6)).zip(shares);
        let of = |((centres, deviations), share): ((&[f32], &[f32]), &f32)| {
            let along = point.iter().zip(centres).zip(deviations).map(|((x, centre), deviation)| {
                let (variance, off) = (f64::from(*deviation).powi(2) + 0.01, x - f64::from(*centre));
                (-off * off / variance / 2.0).exp() / variance.sqrt()
            });
            f64::from(*share) * along.product::<f64>()
        };
        rows.map(of).sum::<f64>().ln()
    };
    let others = drawn(2, 400);
    let mean = |of: &dyn Fn(&[f64]) -> f64| others.iter().map(|point| of(point)).sum::<f64>() / others.len() as f64;
    let mixed = mean(&|point| density(point, found.shares(), found.centres(), found.deviations()));
    let whole = matrix(drawn(1, 600));
    let centre = whole.mean();
    let spread: Vec<f32> = (0..6)
        .map(|axis| (whole.iter().map(|row| (row[axis] - centre[axis]).powi(2)).sum::<f64>() / 600.0).sqrt() as f32)
        .collect();
    let centre: Vec<f32> = centre.iter().map(|x| *x as f32).collect();
    let single = mean(&|point| density(point, &[1.0], &centre, &spread));
    assert!(mixed > single + 2.0, "ln p of other points: {mixed}, {single}");
    assert!(clusters(&matrix(drawn(1, 47)), 0.5).is_none(), "too few to tell apart");
    assert_eq!(clusters(&matrix(drawn(1, 600)), 0.5).unwrap(), found, "the same every time");
    // Of pictures that are all alike nothing is divided by.
    let alike = clusters(&Matrix::new(vec![1.0; 600], 6), 0.5).unwrap();
    assert!(alike.centres().iter().all(|centre| (centre - 1.0).abs() < 1e-6));
}

#[test]
fn a_first_stage_is_told_how_its_pictures_lie_and_keeps_that() {
    // Enough of them to be of clusters.
    let pictures = folder_of_discs(30, 16);
    let many = || Dataset::load(&text(pictures.path()), 16, Squaring::Pad).unwrap();
    let (folder, from, device) = (tempfile::tempdir().unwrap(), small_weights(), Device::flex());
    // Whatever the weights were trained on before, it is these pictures' components that count.
    let mut stage = chrysalis::weights::decode(&from, &device).unwrap().model.stages.remove(0);
    stage.preconditioning.components = Some(crate::support::strange_components(8));
    let (run, config) = (RunFolder::new(folder.path()), small_cascade());
    Run::start(run.clone(), config.clone(), 0, &many(), Some(stage.clone()), std::slice::from_ref(&device))
        .unwrap()
        .train(Limits::default(), &GO)
        .unwrap();
    let of_run = || Trained::read(&run, &config, Which::Newest, &device);
    let kept = of_run().unwrap().model().stages[0].preconditioning.components.clone().unwrap();
    let wanted =
        chrysalis::train::components(&many().reduced(2), &stage.shape, stage.preconditioning.bands.scale(), true);
    assert_eq!(Some(kept), wanted);
    let path = run.stage(0).components();
    std::fs::write(&path, b"none").unwrap();
    let error = of_run().err().unwrap().to_string();
    assert!(error.contains("components.safetensors") && error.contains("restore the file"), "{error}");
    let others = crate::support::strange_components(10);
    let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let (mean, loadings) = (bytes(others.mean()), bytes(others.loadings()));
    let view = |shape, bytes| safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, bytes).unwrap();
    let tensors = [("mean", view(vec![3, 10, 10], &mean)), ("loadings", view(vec![3, 3, 10, 10], &loadings))];
    std::fs::write(&path, safetensors::serialize(tensors, None).unwrap()).unwrap();
    let error = of_run().err().unwrap().to_string();
    assert!(error.contains("pictures of 10 × 10 pixels"), "{error}");
    // Runs of before there were any.
    std::fs::remove_file(&path).unwrap();
    assert!(of_run().unwrap().model().stages[0].preconditioning.components.is_none());
}

#[test]
fn a_damaged_checkpoint_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let config = TrainConfig { sample_count: 0, ..small_config() };
    start(folder.path(), config.clone()).train(Limits { images: Some(8), time: None }, &GO).unwrap();
    let model = folder.path().join("stage-1/checkpoints/step-00000001/model.bpk");
    let whole = std::fs::read(&model).unwrap();
    std::fs::write(&model, &whole[..whole.len() / 2]).unwrap();
    let error =
        Run::resume(RunFolder::new(folder.path()), config, 0, &discs(), &[Device::flex()]).err().unwrap().to_string();
    assert!(error.contains("model.bpk") && error.contains("resume from the one before"), "{error}");
}

#[test]
fn weights_of_a_file_can_be_trained_further() {
    let dataset = discs();
    let config = config_with(|stage| (stage.steps, stage.learning_rate) = (150, 2e-2));
    let mut trainer = Trainer::measured(&config, &config.stages[0], &dataset, &[Device::flex()]).unwrap();
    let fresh = trainer.step(&dataset).unwrap().loss;
    for _ in 1..150 {
        trainer.step(&dataset).unwrap();
    }
    let learned = trainer.stage().unet;
    let mut again =
        Trainer::measured(&config, &config.stages[0], &dataset, &[Device::flex()]).unwrap().continue_from(learned);
    let first = again.step(&dataset).unwrap().loss;
    assert!(first < 0.93 * fresh, "starts from what was learned: {first} against {fresh}");
    assert!(again.step(&dataset).unwrap().loss.is_finite());
}

#[test]
fn a_stage_learns_with_its_weights_as_they_will_be_stored() {
    let dataset = discs();
    let trained = |storage| {
        let config = config_with(|stage| (stage.steps, stage.learning_rate, stage.storage) = (150, 6e-2, storage));
        let mut trainer = Trainer::measured(&config, &config.stages[0], &dataset, &[Device::flex()]).unwrap();
        let losses: Vec<f64> = (0..150).map(|_| trainer.step(&dataset).unwrap().loss).collect();
        (trainer, losses)
    };
    let ((_, whole), (trainer, rounded)) = (trained(Storage::F32), trained(Storage::Compact));
    assert!(whole.iter().zip(&rounded).skip(2).all(|(whole, rounded)| whole != rounded), "{rounded:?}");
    let last = |losses: &[f64]| losses.iter().rev().take(20).sum::<f64>() / 20.0;
    assert!(
        last(&rounded) < 0.93 * rounded[0] && last(&rounded) < 1.05 * last(&whole),
        "it learns all the same: {} and {}",
        last(&rounded),
        last(&whole)
    );
    // What is looked at is what will be stored; what is kept is not rounded.
    let stem = |stage: Stage| stage.unet.trunk().stem.unit().into_data().try_into_vec::<f32>().unwrap();
    let [kept, stored] = [stem(trainer.stage()), stem(trainer.stored_stage())];
    assert_ne!(kept, stored);
    let row = &stored[..stored.len() / trainer.stage().unet.trunk().stem.unit().dims()[0]];
    let steps: std::collections::BTreeSet<i64> =
        row.iter().map(|x| (f64::from(x.abs()) * 1e5).round() as i64).collect();
    assert!(steps.len() < 28, "weights of a channel are multiples of one step: {steps:?}");
}

#[test]
fn finer_pictures_are_loaded_only_where_they_are_changed() {
    let wants = |change: fn(&mut TrainConfig)| {
        let mut config = TrainConfig::default();
        change(&mut config);
        config.wants_finer_pictures()
    };
    assert!(wants(|_| {}), "the second stage makes pictures of the finished size");
    assert!(!wants(|config| config.stages[1].change_share = 0.0), "the first one's are a quarter of it");
    assert!(wants(|config| drop(config.stages.pop())), "now they are not");
}

#[test]
fn learning_rate_and_average_follow_their_schedules() {
    let config = config_with(|stage| (stage.steps, stage.warmup_steps, stage.learning_rate) = (1000, 9, 1.0));
    let config = TrainConfig { ema_decay: 0.99, ..config };
    let stage = &config.stages[0];
    assert!((stage.learning_rate_at(0) - 0.1).abs() < 1e-9);
    assert!((stage.learning_rate_at(9) - 1.0).abs() < 1e-9);
    assert!((stage.learning_rate_at(9 + 991 / 2) - 0.5).abs() < 2e-3);
    assert!(stage.learning_rate_at(1000) < 1e-9);
    assert_eq!((config.ema_decay_at(0), config.ema_decay_at(10)), (0.1, 11.0 / 20.0));
    assert_eq!(config.ema_decay_at(100_000), 0.99);
    // Weights that were trained before are averaged over a tenth of the steps at most.
    assert_eq!([500, 1000, 100_000].map(|steps| config.ema_decay_within(steps)), [0.98, 0.99, 0.99]);
    assert_eq!([0, 1, 10].map(|steps| config.ema_decay_within(steps)), [0.0; 3]);
}

#[test]
fn settings_that_no_run_can_use_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.toml");
    let error = |text: &str| {
        std::fs::write(&path, text).unwrap();
        TrainConfig::read(&path).unwrap_err().to_string()
    };
    let stage = |text: &str| error(&format!("[[stages]]\n{text}"));
    assert!(stage("batch_size = 0").contains("batch_size of stage 1 is 0"));
    assert!(stage("learning_rate = -1.0").contains("learning_rate of stage 1 is -1"));
    assert!(stage("learning_rate = nan").contains("learning_rate of stage 1 is NaN"));
    assert!(stage("batch_size = ").contains("a.toml"));
    assert!(error("ema_decay = 1.0").contains("ema_decay is 1"));
    assert!(error("stages = []").contains("from 1 to 4 stages"));
    assert!(error("colour = 'blue'").contains("unknown field `colour`"));
    std::fs::write(&path, "seed = 5\n[[stages]]\nnoise_density = { mean = 0.0, deviation = 1.0 }\n").unwrap();
    let read = TrainConfig::read(&path).unwrap();
    assert_eq!((read.seed, read.stages.len()), (5, 1), "what is not named keeps its default");
}

#[test]
fn a_cascade_is_trained_in_turn_and_comes_back_whole() {
    let (folder, config) = (tempfile::tempdir().unwrap(), small_cascade());
    let run = RunFolder::new(folder.path());
    let device = Device::flex();
    let train = |number| {
        let devices = std::slice::from_ref(&device);
        let mut run = Run::start(run.clone(), config.clone(), number, &discs(), None, devices).unwrap();
        run.train(Limits::default(), &GO).unwrap();
    };
    train(0);
    assert_eq!(
        Trained::read(&run, &config, Which::Newest, &device).unwrap().stages.len(),
        1,
        "as far as it was trained"
    );
    train(1);
    let trained = Trained::read(&run, &config, Which::Newest, &device).unwrap();
    assert_eq!(trained.model().image_size(), 16);
    assert_eq!(trained.stages.iter().map(|stage| stage.images_seen).collect::<Vec<_>>(), [48, 48]);
    // What is missing from an enlarged picture is smaller than the picture.
    let scales: Vec<f64> = trained.stages.iter().map(|stage| stage.stage.preconditioning.bands.scale()).collect();
    assert!(scales[1] < 0.5 * scales[0], "{scales:?}");
    let none = Run::start(run, config, 2, &discs(), None, std::slice::from_ref(&device)).err().unwrap();
    assert!(none.to_string().contains("there is no stage 3: the run has 2"), "{none}");
}

#[test]
fn the_best_checkpoint_is_kept_beside_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let config = TrainConfig { evaluate_every: 2, evaluate_count: 8, ..small_cascade() };
    let device = Device::flex();
    let devices = std::slice::from_ref(&device);
    let run = RunFolder::new(folder.path());
    for number in 0..2 {
        let mut stage = Run::start(run.clone(), config.clone(), number, &discs(), None, devices).unwrap();
        match stage.train(Limits::default(), &GO) {
            Ok(_) => {}
            Err(TrainError::Quality(NetworkError::Missing(_))) => {
                assert!(std::env::var_os("CHRYSALIS_ALL_TESTS").is_none());
                return;
            }
            Err(error) => panic!("{error}"),
        }
        let place = run.stage(number);
        let table = std::fs::read_to_string(place.quality()).unwrap();
        let rows: Vec<(u64, f64)> = table
            .lines()
            .skip(1)
            .map(|line| {
                let numbers: Vec<f64> = line.split(',').map(|number| number.parse().unwrap()).collect();
                (numbers[0] as u64, numbers[1])
            })
            .collect();
        assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), [2, 4, 6]);
        let best = rows.iter().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0;
        let kept = std::fs::read_dir(place.best()).unwrap().map(|entry| entry.unwrap().file_name());
        let kept: Vec<_> =
            kept.map(|name| name.into_string().unwrap()).filter(|name| name.starts_with("step-")).collect();
        assert_eq!(kept, [format!("step-{best:08}")]);
        let chosen = Trained::read(&run, &config, Which::Best, &device).unwrap();
        assert_eq!(chosen.stages[number].images_seen, best * 8);
    }
}

fn about() -> About {
    let (name, data_name) = (Some("Discs".into()), None);
    About {
        storage: Some(Storage::F32),
        name,
        data_name,
        data_licence: None,
        quality: None,
        usual_steps: None,
        notes: None,
    }
}

/// Weights of a small cascade as a file has them.
fn small_weights() -> Vec<u8> {
    let device = Device::flex();
    let folder = tempfile::tempdir().unwrap();
    let (run, config) = (RunFolder::new(folder.path()), small_cascade());
    for number in 0..2 {
        let devices = std::slice::from_ref(&device);
        let mut run = Run::start(run.clone(), config.clone(), number, &discs(), None, devices).unwrap();
        run.train(Limits::default(), &GO).unwrap();
    }
    let file = folder.path().join("weights.safetensors");
    let trained = Trained::read(&run, &config, Which::Newest, &device).unwrap();
    export::write(&trained, &config, &about(), &file).unwrap();
    std::fs::read(file).unwrap()
}

/// A run that begins with weights, and tunes the second of its stages against a discriminator.
fn tuned(folder: &Path, from: &[u8], images: Option<u64>) -> (RunFolder, TrainConfig) {
    let device = Device::flex();
    let mut config = small_cascade();
    let (finishes_from, finishing_noise) = (vec![40.0, 1.25], vec![1.0, 0.5]);
    config.stages[1].adversarial = Some(Adversarial { finishes_from, finishing_noise, ..Adversarial::default() });
    let run = RunFolder::new(folder);
    run.begin_with(from, 2).unwrap();
    let stage = chrysalis::weights::decode(from, &device).unwrap().model.stages.remove(1);
    let mut tuning = Run::start(run.clone(), config.clone(), 1, &discs(), Some(stage), &[device]).unwrap();
    tuning.train(Limits { images, time: None }, &GO).unwrap();
    (run, config)
}

#[test]
fn a_tuned_stage_is_sampled_as_it_was_tuned_and_the_others_are_as_they_were() {
    let (folder, from, device) = (tempfile::tempdir().unwrap(), small_weights(), Device::flex());
    let (run, config) = tuned(folder.path(), &from, None);
    let trained = Trained::read(&run, &config, Which::Newest, &device).unwrap();
    assert_eq!(trained.stages.iter().map(|stage| stage.images_seen).collect::<Vec<_>>(), [48, 96]);
    assert_eq!(
        trained.stages.iter().map(|stage| &stage.stage.finishes_from[..]).collect::<Vec<_>>(),
        [&[][..], &[40.0, 1.25]]
    );
    let first = |model: &chrysalis::diffusion::Model| {
        let mut collect = Collect::default();
        model.stages[0].unet.visit(&mut collect);
        collect.0
    };
    let before = chrysalis::weights::decode(&from, &device).unwrap().model;
    assert!(first(&trained.model()) == first(&before));

    // Through a file, and down to a picture.
    let file = folder.path().join("tuned.safetensors");
    export::write(&trained, &config, &about(), &file).unwrap();
    let model = chrysalis::weights::decode(&std::fs::read(file).unwrap(), &device).unwrap().model;
    let model = model.for_sampling(&device);
    let plan = Plan { sampler: Sampler::Ddpm, levels: NoiseLevels::default(), steps: 6 };
    assert_eq!((plan.all_steps(&model), plan.evaluations(&model)), (8, 8));
    let steps: Vec<_> = Cascade::new(&model, plan, &[3], &device).collect();
    let detail: Vec<_> = steps.iter().filter(|step| step.stage == 1).map(|step| &step.step).collect();
    assert_eq!(detail.len(), 2);
    let noise = (detail[0].x.clone() - detail[0].denoised.clone()).powf_scalar(2.0).mean().sqrt();
    let share = f64::from(noise.into_scalar::<f32>()) / detail[0].sigma;
    assert!((share - 0.5).abs() < 0.05, "what is finished again is under {share} of the noise that it is told of");
    assert!(steps.last().is_some_and(|step| step.finished));

    // What is damaged is said, and not what the run began with taken for it.
    std::fs::write(run.stage(1).checkpoints().join("step-00000006/state.toml"), "step = ").unwrap();
    let error = Trained::read(&run, &config, Which::Newest, &device).err().unwrap();
    assert!(error.to_string().contains("state.toml"), "{error}");
}

#[test]
fn a_tuning_goes_on_as_if_it_had_not_stopped() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let from = small_weights();
    let (whole, config) = tuned(whole.path(), &from, None);
    let (parts, _) = tuned(parts.path(), &from, Some(16));
    let mut rest = Run::resume(parts.clone(), config, 1, &discs(), &[Device::flex()]).unwrap();
    rest.train(Limits::default(), &GO).unwrap();
    let losses = |run: &RunFolder| {
        let text = std::fs::read_to_string(run.stage(1).log()).unwrap();
        let column = |line: &str, at| line.split(',').nth(at).unwrap().to_string();
        text.lines().map(|line| [3, 4, 6].map(|at| column(line, at))).collect::<Vec<_>>()
    };
    let (whole, parts) = (losses(&whole), losses(&parts));
    assert_eq!(whole.len(), 7);
    assert_eq!(whole, parts);
    assert_eq!(whole[0][2], "discriminator_loss");
    // Two that cannot be told apart: ln 2 each, and what is yet to learn of the picture.
    let first: f64 = whole[1][2].parse().unwrap();
    assert!((0.3..1.2).contains(&first), "{first}");
}

/// The columns of loss, gradient norm and discriminator's loss of a tuning of so many steps.
fn tuning(settings: Adversarial, steps: u64, learning_rate: f64) -> [Vec<f64>; 3] {
    tuning_in(small_cascade(), settings, steps, learning_rate)
}

/// The same in a configuration.
fn tuning_in(mut config: TrainConfig, settings: Adversarial, steps: u64, learning_rate: f64) -> [Vec<f64>; 3] {
    let (folder, from) = (tempfile::tempdir().unwrap(), small_weights());
    let stage = &mut config.stages[1];
    (stage.steps, stage.warmup_steps, stage.learning_rate) = (steps, 5, learning_rate);
    stage.adversarial = Some(settings);
    let device = Device::flex();
    let stage = chrysalis::weights::decode(&from, &device).unwrap().model.stages.remove(1);
    let run = RunFolder::new(folder.path());
    Run::start(run.clone(), config, 1, &discs(), Some(stage), &[device])
        .unwrap()
        .train(Limits::default(), &GO)
        .unwrap();
    let text = std::fs::read_to_string(run.stage(1).log()).unwrap();
    let column = |at| text.lines().skip(1).map(|line| line.split(',').nth(at).unwrap().parse().unwrap()).collect();
    [3, 4, 6].map(column)
}

#[test]
fn the_configuration_chooses_the_optimiser_but_for_a_tuning() {
    let (folder, dataset) = (tempfile::tempdir().unwrap(), discs());
    let path = folder.path().join("config.toml");
    let [adamw, muon] = ["adamw", "muon"].map(|name| {
        let config = TrainConfig { sample_count: 0, ..small_config() };
        let text = config.to_toml().unwrap().replace("optimizer = \"muon\"", &format!("optimizer = \"{name}\""));
        std::fs::write(&path, text).unwrap();
        let config = TrainConfig::read(&path).unwrap();
        let mut trainer = Trainer::measured(&config, &config.stages[0], &dataset, &[Device::flex()]).unwrap();
        let losses: Vec<f64> = (0..4).map(|_| trainer.step(&dataset).unwrap().loss).collect();
        let TrainConfig { stages, .. } = small_cascade();
        (losses, tuning_in(TrainConfig { stages, ..config }, Adversarial::default(), 3, 1e-2))
    });
    assert_eq!(adamw.0[0], muon.0[0], "they begin alike");
    assert_ne!(adamw.0[3], muon.0[3]);
    assert_eq!(adamw.1, muon.1, "a tuning has an optimiser of its own");
}

#[test]
fn a_discriminator_learns_to_tell_detail_from_none_unless_it_may_not_be_steep() {
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    // The stage stands nearly still, and the discriminator runs after it.
    let settings = Adversarial { discriminator_rate: 100.0, ..Adversarial::default() };
    let [_, _, losses] = tuning(settings.clone(), 60, 1e-4);
    let (before, free) = (mean(&losses[..5]), mean(&losses[50..]));
    assert!(free < 0.8 * before, "from {before} to {free}");
    let [_, _, losses] = tuning(Adversarial { gradient_penalty: 100.0, ..settings }, 60, 1e-4);
    let flat = mean(&losses[50..]);
    // A verdict that is the same everywhere: ln 2.
    assert!((flat - std::f64::consts::LN_2).abs() < 0.1 && flat > 1.1 * free, "{flat} and {free}");
}

#[test]
fn a_configuration_names_levels_to_finish_from_in_falling_order() {
    let folder = tempfile::tempdir().unwrap();
    let read = |levels: &str| {
        let mut config = small_cascade();
        config.stages[1].adversarial = Some(Adversarial { finishes_from: vec![40.0, 0.5], ..Adversarial::default() });
        let written = config.to_toml().unwrap();
        let start = written.find("finishes_from").unwrap();
        let end = start + written[start..].find(']').unwrap() + 1;
        let path = folder.path().join("config.toml");
        std::fs::write(&path, [&written[..start], "finishes_from = ", levels, &written[end..]].concat()).unwrap();
        TrainConfig::read(&path).map(|config| config.stages[1].adversarial.clone().unwrap().finishes_from)
    };
    assert_eq!(read("[40.0, 0.5]").unwrap(), [40.0, 0.5]);
    assert_eq!(read("0.5").unwrap(), [0.5], "as runs wrote it at first");
    for impossible in ["[]", "[0.5, 40.0]", "[0.5, 0.5]", "0.0", "[5.0, 4.0, 3.0, 2.0, 1.0]"] {
        let error = read(impossible).unwrap_err().to_string();
        assert!(error.contains("adversarial.finishes_from of stage 2"), "{impossible}: {error}");
    }
}

#[test]
fn a_configuration_names_no_more_noise_than_levels_to_finish_from() {
    let check = |finishing_noise: Vec<f64>| {
        let mut config = small_cascade();
        let tuning = Adversarial { finishes_from: vec![40.0, 0.5], finishing_noise, ..Adversarial::default() };
        config.stages[1].adversarial = Some(tuning);
        config.validate()
    };
    for possible in [vec![], vec![1.1], vec![1.1, 0.7]] {
        check(possible).unwrap();
    }
    for impossible in [vec![0.0], vec![f64::NAN], vec![1.0, 100.0], vec![1.0; 3]] {
        let error = check(impossible.clone()).unwrap_err().to_string();
        assert!(error.contains("adversarial.finishing_noise of stage 2"), "{impossible:?}: {error}");
    }
}

#[test]
fn each_level_begins_with_what_was_made_from_the_one_before() {
    let real = Tensor::<4>::from_data([[[[1.0f32]]], [[[2.0]]], [[[3.0]]], [[[4.0]]], [[[5.0]]]], &Device::flex());
    let mut asked = Vec::new();
    let begun = Beginnings::of(real.clone(), &[40.0, 2.0, 0.5], |bands, level, pictures| {
        asked.push((level, pictures));
        bands * 10.0 + level
    });
    assert_eq!(begun.bands.into_data().try_into_vec::<f32>().unwrap(), [1.0, 2.0, 70.0, 80.0, 902.0]);
    assert_eq!((begun.levels, begun.real), (vec![40.0, 40.0, 2.0, 2.0, 0.5], 2));
    assert_eq!(asked, [(40.0, 2..4), (40.0, 4..5), (2.0, 4..5)]);
    // Fewer pictures than levels: the first levels get them.
    let one = Beginnings::of(real.narrow(0, 0, 1), &[40.0, 0.5], |_, _, _| unreachable!("nothing to finish again"));
    assert_eq!((one.levels, one.real), (vec![40.0], 1));
}

#[test]
fn what_is_finished_again_was_made_and_need_not_become_what_is_there() {
    // The own loss is all that counts, and hardly anything is learned. Half of each batch has none, or two thirds.
    let own = |finishes_from: &[f64]| {
        let finishes_from = finishes_from.to_vec();
        let settings = Adversarial { finishes_from, reconstruction: 1e4, ..Adversarial::default() };
        let [losses, norms, _] = tuning(settings, 6, 1e-7);
        assert!(norms.iter().all(|norm| norm.is_finite()), "{norms:?}");
        losses.iter().sum::<f64>() / losses.len() as f64
    };
    let (once, again) = (own(&[40.0]), own(&[40.0, 0.5]));
    assert!((0.4..0.6).contains(&(again / once)), "{again} of {once}");
    let thrice = own(&[40.0, 2.0, 0.5]);
    assert!((0.25..0.45).contains(&(thrice / once)), "{thrice} of {once}");
}

#[test]
fn a_stage_learns_from_the_verdicts_alone() {
    // Without a loss of its own, all that it has is the discriminator, which stands nearly still.
    let settings = Adversarial { reconstruction: 0.0, discriminator_rate: 1e-3, ..Adversarial::default() };
    let [losses, norms, _] = tuning(settings, 60, 1e-2);
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    assert!(norms.iter().all(|&norm| norm > 0.0), "{norms:?}");
    let (before, after) = (mean(&losses[..5]), mean(&losses[50..]));
    assert!(after < before - 0.02, "from {before} to {after}");
}

/// What the second stage of a cascade is given of some seeds when it is used.
fn small_pictures(model: &chrysalis::diffusion::Model, steps: usize, seeds: &[u64]) -> Vec<f32> {
    let device = Device::flex();
    let model = model.for_sampling(&device);
    let plan = Plan { sampler: model.usual().sampler, levels: NoiseLevels::default(), steps };
    let last = Cascade::new(&model, plan, seeds, &device).filter(|step| step.stage == 0).last().unwrap();
    last.step.x.into_data().try_into_vec().unwrap()
}

#[test]
fn a_further_stage_is_judged_on_what_the_first_one_makes() {
    let (folder, from, device) = (tempfile::tempdir().unwrap(), small_weights(), Device::flex());
    let before = chrysalis::weights::decode(&from, &device).unwrap().model;
    let run = RunFolder::new(folder.path());
    let mut config = TrainConfig { sample_steps: 5, sample_count: 4, ..small_cascade() };
    let earlier = |config: &TrainConfig| EarlierStages::of(&run, config, 1, &device).unwrap();
    assert!(earlier(&config).is_none(), "a run that has no first stage");
    run.begin_with(&from, 2).unwrap();
    let given = |config: &TrainConfig| -> Vec<f32> {
        let earlier = earlier(config).unwrap();
        let plan = Plan { sampler: earlier.usual_sampler(), levels: NoiseLevels::default(), steps: 5 };
        earlier.pictures(plan, &[3, 4]).unwrap().into_data().try_into_vec().unwrap()
    };
    assert!(given(&config) == small_pictures(&before, 5, &[3, 4]), "what the weights before make");

    // A first stage that the run itself has tuned, and that finishes early and rounded, takes their place.
    let settings = Adversarial { finishes_from: vec![0.5], ..Adversarial::default() };
    (config.stages[0].adversarial, config.stages[0].storage) = (Some(settings), Storage::Compact);
    let devices = std::slice::from_ref(&device);
    let train = |config: &TrainConfig, number: usize| {
        let from = before.stages.get(number).cloned();
        let mut run = Run::start(run.clone(), config.clone(), number, &discs(), from, devices).unwrap();
        run.train(Limits::default(), &GO).unwrap();
    };
    train(&config, 0);
    let file = folder.path().join("tuned.safetensors");
    let trained = Trained::read(&run, &config, Which::Newest, &device).unwrap();
    export::write(&trained, &config, &About { storage: None, name: None, ..about() }, &file).unwrap();
    let card = std::fs::read_to_string(file.with_extension("md")).unwrap();
    assert!(card.starts_with("# tuned\n"), "called after its file");
    assert!(card.contains("4 bits a number"), "stored as the first stage learned to be: {card}");
    let tuned = chrysalis::weights::decode(&std::fs::read(file).unwrap(), &device).unwrap().model;
    let farthest = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let far = farthest(&given(&config), &small_pictures(&tuned, 5, &[3, 4]));
    assert!(far < 1e-3, "{far} from what the tuned stage makes once it is stored");
    assert!(farthest(&given(&config), &small_pictures(&before, 5, &[3, 4])) > 0.01);

    // The second stage's grid shows what the whole cascade makes of the seeds, finished twice as it is when it is used.
    config.stages[1].adversarial = Some(Adversarial { finishes_from: vec![2.0, 1.0], ..Adversarial::default() });
    train(&config, 1);
    let (grid, model) = (run.stage(1).grid(6), Trained::read(&run, &config, Which::Newest, &device).unwrap().model());
    let model = chrysalis::diffusion::Model::of(vec![tuned.stages[0].clone(), model.stages[1].clone()]);
    let model = model.for_sampling(&device);
    assert_eq!(model.usual().sampler, Sampler::DpmSolver, "its first stage is tuned");
    assert_eq!(before.for_sampling(&device).usual().sampler, Sampler::DpmSolverSde, "that one is not");
    let plan = Plan { sampler: model.usual().sampler, levels: NoiseLevels::default(), steps: 5 };
    let last = Cascade::new(&model, plan, &[0, 1, 2, 3], &device).last().unwrap().step.x;
    let pictures = pollster::block_on(Picture::from_batch(last)).unwrap();
    let shown = Picture::from_png(&std::fs::read(grid).unwrap()).unwrap();
    let difference = Picture::grid(&pictures, 2, 2).largest_difference(&shown).unwrap();
    assert!(difference <= 2, "{difference}");
}

#[test]
fn a_tuning_without_weights_or_with_other_ones_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = small_cascade();
    config.stages[1].adversarial = Some(Adversarial::default());
    let run = RunFolder::new(folder.path());
    let error = Run::start(run.clone(), config, 1, &discs(), None, &[Device::flex()]).err().unwrap();
    assert!(error.to_string().contains("--from"), "{error}");
    let from = small_weights();
    let (_, config) = tuned(folder.path(), &from, Some(16));
    let two = [Device::flex(), Device::flex()];
    let error = Run::resume(run.clone(), config, 1, &discs(), &two).err().unwrap();
    assert!(error.to_string().contains("one device"), "{error}");
    run.begin_with(&from, 2).unwrap();
    let error = run.begin_with(b"others", 2).unwrap_err();
    assert!(error.to_string().contains("choose another --out"), "{error}");
}
