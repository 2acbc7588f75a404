//! What keeps strangers from a device that is lent.

use std::net::SocketAddr;

use thiserror::Error;

/// The environment variable that holds the token of a server that asks for one.
pub const TOKEN: &str = "CHRYSALIS_TOKEN";
/// Shorter tokens can be guessed by trying.
const SHORTEST_TOKEN: usize = 16;

/// Why a server does not begin to listen.
#[derive(Debug, Error)]
pub enum TokenError {
    /// The token is too short.
    #[error("the token has {found} bytes and needs at least {SHORTEST_TOKEN}: 'openssl rand -hex 16' makes one")]
    Short {
        /// Its length.
        found: usize,
    },
    /// There is none, where one is needed.
    #[error(
        "other machines can reach {listen}, and nobody keeps them out: name a token with --token-file or {TOKEN}, or listen on 127.0.0.1"
    )]
    Missing {
        /// Where it was to listen.
        listen: SocketAddr,
    },
}

/// The token of the environment, if there is one.
///
/// # Errors
/// When it is no text: to take it for none would open what it is to keep shut.
pub fn token() -> Result<Option<String>, std::env::VarError> {
    match std::env::var(TOKEN) {
        Ok(token) => Ok(Some(token.trim().to_string())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The token that a server asks for who listens at an address.
///
/// # Errors
/// When it is too short, or there is none and other machines can reach the address.
pub fn required_token(token: Option<String>, listen: SocketAddr) -> Result<Option<String>, TokenError> {
    match token {
        Some(token) if token.len() < SHORTEST_TOKEN => Err(TokenError::Short { found: token.len() }),
        None if !listen.ip().is_loopback() => Err(TokenError::Missing { listen }),
        token => Ok(token),
    }
}
