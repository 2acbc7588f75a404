//! Looks whether the browser has a GPU. Everything of substance is in `chrysalis::adapter_probe`.

fn main() {
    #[cfg(target_family = "wasm")]
    chrysalis::adapter_probe::start();
}
