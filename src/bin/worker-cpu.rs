//! The engine on the visitor's CPU. Everything of substance is in `chrysalis::worker`.

fn main() {
    #[cfg(target_family = "wasm")]
    chrysalis::worker::start(chrysalis::worker::Kind::Cpu);
}
