//! Measures the quality of a model's pictures. Everything of substance is in [`chrysalis::command::evaluate`].

#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    chrysalis::command::exit(chrysalis::command::evaluate::main())
}

#[cfg(target_family = "wasm")]
fn main() {}
