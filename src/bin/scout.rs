//! Looks whether the browser has a GPU. Everything of substance is in `chrysalis::scout`.

fn main() {
    #[cfg(target_family = "wasm")]
    chrysalis::scout::start();
}
