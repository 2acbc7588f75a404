//! Trains a model on a folder of pictures. Everything of substance is in [`chrysalis::command::train`].

#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    chrysalis::command::exit(chrysalis::command::train::main())
}

#[cfg(target_family = "wasm")]
fn main() {}
