//! A device of another machine, as far as one machine can test it: the server is another thread.

use burn::server::{RemoteServer, TokenAuthorizer, WebSocketTransport};
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
    for addresses in [addresses[0].clone(), addresses.join(",")] {
        let lent = choose_many(&addresses.parse::<DeviceChoice>().unwrap(), 1).unwrap();
        let devices: Vec<Device> = lent.into_iter().map(|chosen| chosen.device).collect();
        for (a, b) in home.iter().zip(losses(&devices)) {
            assert!((a - b).abs() < 1e-4 * a, "{addresses}: {b} instead of {a}");
        }
    }
}

/// A server that asks for a token, on a runtime that can be taken away.
fn server_with_token(token: &str) -> (String, tokio::runtime::Runtime) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("ws://{}", listener.local_addr().unwrap());
    let server = RemoteServer::new([Device::flex()]).with_authorizer(TokenAuthorizer::new(token).unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.spawn(server.serve_async(WebSocketTransport::from_listener(listener)));
    (address, runtime)
}

#[test]
fn without_its_token_a_server_lends_nothing_and_the_remedy_is_named() {
    let (address, _server) = server_with_token("a token of some length");
    let error = choose_many(&address.parse::<DeviceChoice>().unwrap(), 1).unwrap_err().to_string();
    assert!(error.contains(&address) && error.contains("CHRYSALIS_TOKEN"), "{error}");
}

#[test]
fn a_lost_server_is_an_error_in_words() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("ws://{}", listener.local_addr().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.spawn(RemoteServer::new([Device::flex()]).serve_async(WebSocketTransport::from_listener(listener)));
    let folder = folder_of_discs(12, 16);
    let dataset = Dataset::load(&text(folder.path()), 16, Squaring::Pad).unwrap();
    let config = small_config();
    let device = choose_many(&address.parse::<DeviceChoice>().unwrap(), 1).unwrap().remove(0).device;
    let mut trainer = Trainer::measured(&config, &config.stages[0], &dataset, &[device]).unwrap();
    trainer.step(&dataset).unwrap();
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    let error = trainer.step(&dataset).map(|report| report.loss).unwrap_err();
    assert!(!error.is_empty(), "a reason");
}
