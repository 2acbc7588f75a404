//! A device of another machine, as far as one machine can test it: the server is another thread.

use burn::server::{RemoteServer, WebSocketTransport};
use burn::tensor::Device;
use chrysalis::data::{Dataset, Squaring};
use chrysalis::device::{DeviceChoice, choose_many};
use chrysalis::train::Trainer;

use crate::support::{folder_of_discs, small_config, text};

#[test]
fn training_on_lent_devices_gives_the_losses_of_training_at_home() {
    let addresses: Vec<String> = (0..2)
        .map(|_| {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = format!("ws://{}", listener.local_addr().unwrap());
            let transport = WebSocketTransport::from_listener(listener);
            std::thread::spawn(|| {
                let runtime = tokio::runtime::Runtime::new().unwrap();
                runtime.block_on(RemoteServer::new([Device::flex()]).serve_async(transport)).unwrap();
            });
            address
        })
        .collect();
    let folder = folder_of_discs(12, 16);
    let dataset = Dataset::load(&text(folder.path()), 16, Squaring::Pad).unwrap();
    let config = small_config();
    let losses = |devices: &[Device]| -> Vec<f64> {
        let mut trainer = Trainer::measured(&config, &config.stages[0], &dataset, devices).unwrap();
        (0..3).map(|_| trainer.step(&dataset).unwrap().loss).collect()
    };
    let home = losses(&[Device::flex()]);
    for wish in [addresses[0].clone(), addresses.join(",")] {
        let lent = choose_many(&wish.parse::<DeviceChoice>().unwrap(), 1).unwrap();
        let devices: Vec<Device> = lent.into_iter().map(|chosen| chosen.device).collect();
        for (a, b) in home.iter().zip(losses(&devices)) {
            assert!((a - b).abs() < 1e-4 * a, "{wish}: {b} instead of {a}");
        }
    }
}
