//! Lends a device to other machines. Everything of substance is in [`chrysalis::command::serve`].

#[cfg(not(target_family = "wasm"))]
fn main() -> std::process::ExitCode {
    chrysalis::command::exit(chrysalis::command::serve::main())
}

#[cfg(target_family = "wasm")]
fn main() {}
