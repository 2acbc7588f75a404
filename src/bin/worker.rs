//! The engine in the browser. Everything of substance is in `chrysalis::worker`.

fn main() {
    #[cfg(target_family = "wasm")]
    chrysalis::worker::start();
}
