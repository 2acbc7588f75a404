//! `serve`: lends this machine's device to training runs on others, through burn's remote server.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use burn::server::{RemoteServer, TokenAuthorizer, WebSocketTransport};
use clap::Parser;

use crate::device::{self, DeviceChoice};
use crate::files;

/// Lend this machine's device to `train --device ws://ADDRESS` on another one.
///
/// Whoever may reach the address and knows the token may use the device. Traffic is not encrypted: listen only in networks whose
/// machines are trusted with what is trained.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen; the default is reached from this machine alone
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// A file whose first line is the token that 'train' has to show, of at least 16 characters; without it the environment variable
    /// CHRYSALIS_TOKEN is read. Only what listens on this machine alone may do without
    #[arg(long)]
    token_file: Option<PathBuf>,
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
    let token = token(&arguments)?;
    let chosen = device::choose(&arguments.device)?;
    let listener = TcpListener::bind(arguments.listen)
        .with_context(|| format!("listening on {} (another --listen may be free)", arguments.listen))?;
    let who = if token.is_some() {
        "whoever shows the token"
    } else {
        "every program on this machine, and every web page that a browser on it shows"
    };
    eprintln!("lending {} at ws://{} to {who} (Ctrl-C ends)", chosen.name, listener.local_addr()?);
    let server = RemoteServer::new([chosen.device]);
    let server = match token {
        Some(token) => server.with_authorizer(TokenAuthorizer::new(token).context("the token")?),
        None => server,
    };
    server.serve(WebSocketTransport::from_listener(listener)).context("serving")
}

/// The token of a file or of the environment; none only where nobody else can listen.
fn token(arguments: &Arguments) -> anyhow::Result<Option<String>> {
    let token = match &arguments.token_file {
        Some(path) => {
            let text =
                String::from_utf8(files::read(path)?).with_context(|| format!("{} is not text", path.display()))?;
            Some(text.lines().next().unwrap_or_default().trim().to_string())
        }
        None => device::token().map_err(|_| anyhow!("{} is not text", device::TOKEN))?,
    };
    Ok(device::required_token(token, arguments.listen)?)
}
