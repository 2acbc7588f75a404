//! `serve`: lends this machine's device to training runs on others, through burn's remote server.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context;
use burn::server::{RemoteServer, WebSocketTransport};
use clap::Parser;

use crate::device::{self, DeviceChoice};

/// Lend this machine's device to `train --device ws://ADDRESS` on another one.
///
/// Traffic is neither encrypted nor authenticated: listen only where every machine that can reach the address is trusted.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen; the default is reached from this machine alone
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// What to lend: auto, gpu, cpu, cuda or rocm
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
}

/// Runs the command until Ctrl-C.
///
/// # Errors
/// With what stopped it.
pub fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let chosen = device::choose(&arguments.device)?;
    let listener = TcpListener::bind(arguments.listen)
        .with_context(|| format!("listening on {} (another --listen may be free)", arguments.listen))?;
    eprintln!("lending {} at ws://{} (Ctrl-C ends)", chosen.name, listener.local_addr()?);
    RemoteServer::new([chosen.device]).serve(WebSocketTransport::from_listener(listener)).context("serving")
}
