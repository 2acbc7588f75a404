// Included by the native and the browser tests: the same bits everywhere.

fn check_golden_noise() {
    let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    let first = bits(Noise::new(7, Purpose::Picture).gaussians(6));
    assert_eq!(first, GOLDEN_FIRST, "{first:#010x?}");
    let many = bits(Noise::indexed(u64::MAX, Purpose::Training, 3).gaussians(100_000));
    let hash = many.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, bits| {
        bits.to_le_bytes().iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
    });
    assert_eq!(hash, GOLDEN_HASH, "{hash:#018x}");
}

const GOLDEN_FIRST: [u32; 6] = [0x3f09_f8eb, 0xbe96_df1e, 0xc016_685a, 0xbf00_89e0, 0xbe90_2786, 0xbf52_8053];
/// FNV-1a over the bits of 100,000 numbers.
const GOLDEN_HASH: u64 = 0xdfc6_1e04_5807_e96b;
