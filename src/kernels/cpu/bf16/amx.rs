//! Intel's matrix unit (AMX): tiles of 16 rows of 64 bytes, multiplied as pairs of bf16 and summed in f32.
//!
//! Rust's intrinsics for it are not stable yet, its instructions in assembly are. They are the secret of this file.

use std::sync::OnceLock;

/// Rows and columns of a block of sums: two by two tiles, which with two tiles of either factor fills the eight registers.
pub const BLOCK: usize = 32;
/// Products that one instruction sums for each number: how many numbers of `a`'s rows a step takes.
pub const STEP: usize = 32;

/// Proof that this processor has the unit and that the kernel lets us use it.
#[derive(Clone, Copy)]
pub struct Amx(());

impl Amx {
    /// The unit, where there is one. Asks once.
    pub fn find() -> Option<Self> {
        static FOUND: OnceLock<bool> = OnceLock::new();
        FOUND.get_or_init(found).then_some(Self(()))
    }

    /// Calls `work` with this thread's tile registers set up.
    pub fn with_tiles<R>(self, work: impl FnOnce(&Tiles) -> R) -> R {
        let tiles = Tiles::set_up();
        work(&tiles)
    }
}

/// A block of sums, row by row.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Sums(pub [[f32; BLOCK]; BLOCK]);

/// This thread's tile registers, set up for tiles of full size.
pub struct Tiles(std::marker::PhantomData<*const ()>);

/// One factor of a product: where its first row begins, and how many bytes on each further one does.
#[derive(Clone, Copy)]
pub struct Rows {
    /// At least [`BLOCK`] rows of bf16.
    pub start: *const u16,
    /// Bytes from row to row.
    pub stride: usize,
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod unit {
    use std::arch::asm;
    use std::arch::x86_64::{__cpuid, __cpuid_count};

    use super::{BLOCK, Rows, Sums, Tiles};

    /// `arch_prctl`'s number, and what it is asked for: leave to use a large register state, that of the tiles
    /// (Linux, Documentation/arch/x86/xstate.rst).
    const ARCH_PRCTL: usize = 158;
    const REQUEST_PERMISSION: usize = 0x1023;
    const TILE_DATA: usize = 18;

    pub fn found() -> bool {
        // Miri knows neither these instructions nor the system call.
        if cfg!(miri) || __cpuid(0).eax < 7 || !std::is_x86_feature_detected!("avx512f") {
            return false;
        }
        let features = __cpuid_count(7, 0).edx;
        let (products, tiles) = (features >> 22 & 1, features >> 24 & 1);
        products == 1 && tiles == 1 && permitted()
    }

    fn permitted() -> bool {
        let answer: isize;
        // SAFETY: a system call that changes nothing but what this process may do; it clobbers what is named.
        unsafe {
            asm!(
                "syscall",
                inlateout("rax") ARCH_PRCTL => answer,
                in("rdi") REQUEST_PERMISSION,
                in("rsi") TILE_DATA,
                out("rcx") _,
                out("r11") _,
                options(nostack),
            );
        }
        answer == 0
    }

    /// The format that `ldtilecfg` reads (Intel's manual, volume 1, table 18-7).
    #[repr(C, align(64))]
    struct Layout {
        palette: u8,
        start_row: u8,
        reserved: [u8; 14],
        bytes_per_row: [u16; 16],
        rows: [u8; 16],
    }

    impl Tiles {
        pub(super) fn set_up() -> Self {
            let mut layout =
                Layout { palette: 1, start_row: 0, reserved: [0; 14], bytes_per_row: [0; 16], rows: [0; 16] };
            layout.bytes_per_row[..8].fill(64);
            layout.rows[..8].fill(16);
            // SAFETY: there is a unit, or there would be no `Amx` to call this, and the layout is as it wants it.
            unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const layout, options(nostack, readonly)) }
            Self(std::marker::PhantomData)
        }

        /// `sums += a · b`, or `sums = a · b`: for every offset (in bytes, from `a`'s start) `steps` times 32 products
        /// for each of the block's sums. `b` is read on and on: 2 × 16 rows of 16 pairs a step.
        ///
        /// # Safety
        /// `a` has [`BLOCK`] rows, each with `64 · steps` bytes from every offset on, and `b` has `2048 · steps ·
        /// offsets` bytes.
        pub unsafe fn multiply(
            &self,
            a: Rows,
            offsets: &[isize],
            steps: usize,
            b: *const u16,
            sums: &mut Sums,
            add: bool,
        ) {
            if offsets.is_empty() || steps == 0 {
                return;
            }
            // SAFETY: the caller's promise; the tile registers are this thread's, set up for full tiles, and nobody
            // else uses them.
            unsafe {
                asm!(
                    "test {step:r}, {step:r}",
                    "jz 4f",
                    "mov {step:r}, 128",
                    "tileloadd tmm0, [{sums} + {step:r}*1]",
                    "tileloadd tmm1, [{sums} + {step:r}*1 + 64]",
                    "tileloadd tmm2, [{sums} + {step:r}*1 + 2048]",
                    "tileloadd tmm3, [{sums} + {step:r}*1 + 2112]",
                    "jmp 2f",
                    "4:",
                    "tilezero tmm0",
                    "tilezero tmm1",
                    "tilezero tmm2",
                    "tilezero tmm3",
                    "2:",
                    "mov {upper}, [{offsets}]",
                    "add {upper}, {a}",
                    "lea {lower}, [{upper} + {half}]",
                    "mov {step:r}, {steps}",
                    "3:",
                    "tileloadd tmm4, [{upper} + {stride}*1]",
                    "tileloadd tmm6, [{b} + {row}*1]",
                    "tileloadd tmm7, [{b} + {row}*1 + 1024]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tileloadd tmm5, [{lower} + {stride}*1]",
                    "add {upper}, 64",
                    "add {lower}, 64",
                    "add {b}, 2048",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    "dec {step:r}",
                    "jnz 3b",
                    "add {offsets}, 8",
                    "cmp {offsets}, {end}",
                    "jne 2b",
                    "mov {step:r}, 128",
                    "tilestored [{sums} + {step:r}*1], tmm0",
                    "tilestored [{sums} + {step:r}*1 + 64], tmm1",
                    "tilestored [{sums} + {step:r}*1 + 2048], tmm2",
                    "tilestored [{sums} + {step:r}*1 + 2112], tmm3",
                    a = in(reg) a.start,
                    stride = in(reg) a.stride,
                    half = in(reg) a.stride * (BLOCK / 2),
                    offsets = inout(reg) offsets.as_ptr() => _,
                    end = in(reg) offsets.as_ptr().add(offsets.len()),
                    steps = in(reg) steps,
                    b = inout(reg) b => _,
                    row = in(reg) 64_usize,
                    sums = in(reg) &raw mut *sums,
                    step = inout(reg) usize::from(add) => _,
                    upper = out(reg) _,
                    lower = out(reg) _,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                );
            }
        }
    }

    impl Drop for Tiles {
        fn drop(&mut self) {
            // SAFETY: as for `set_up`.
            unsafe { asm!("tilerelease", options(nostack, nomem)) }
        }
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use unit::found;

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
mod absent {
    use super::{Rows, Sums, Tiles};

    impl Tiles {
        pub(super) fn set_up() -> Self {
            unreachable!("no unit was found")
        }

        pub unsafe fn multiply(&self, _: Rows, _: &[isize], _: usize, _: *const u16, _: &mut Sums, _: bool) {
            unreachable!("no unit was found")
        }
    }
}

#[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
fn found() -> bool {
    false
}
