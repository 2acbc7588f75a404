//! Turns a training run into a weight file. Everything of substance is in [`chrysalis::command::export`].

#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    chrysalis::command::exit(chrysalis::command::export::main())
}

#[cfg(target_family = "wasm")]
fn main() {}
