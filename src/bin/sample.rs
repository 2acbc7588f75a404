//! Samples pictures from a trained model. Everything of substance is in [`chrysalis::command::sample`].

#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    chrysalis::command::exit(chrysalis::command::sample::main())
}

#[cfg(target_family = "wasm")]
fn main() {}
