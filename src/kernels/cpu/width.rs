//! Which vectors the kernels compute with: the widest that the processor has.

use pulp::Arch;

/// The widest vectors, or those that the environment variable `CHRYSALIS_SIMD` asks for, `scalar` or `avx2`: so one
/// machine can show that pictures do not depend on them.
#[cfg(not(target_family = "wasm"))]
pub fn arch() -> Arch {
    static CHOSEN: std::sync::OnceLock<Arch> = std::sync::OnceLock::new();
    *CHOSEN.get_or_init(|| match std::env::var("CHRYSALIS_SIMD").as_deref() {
        Ok("scalar") => Arch::Scalar,
        #[cfg(target_arch = "x86_64")]
        Ok("avx2") => pulp::x86::V3::try_new().map_or(Arch::Scalar, Arch::V3),
        _ => Arch::new(),
    })
}

/// What this build was compiled for.
#[cfg(target_family = "wasm")]
pub fn arch() -> Arch {
    Arch::new()
}
