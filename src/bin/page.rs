//! The page in the browser. Everything of substance is in `chrysalis::page`.

fn main() {
    #[cfg(target_family = "wasm")]
    chrysalis::page::start();
}
