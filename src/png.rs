//! What the image library leaves out, and the page is too small for: done on the chunks of finished PNG files (ISO/IEC 15948) without decoding
//! them: what a picture says about itself, and pictures that follow each other.

/// The keyword under which a file says which butterfly it is: parameters as in the page's address.
pub const KEYWORD: &str = "Chrysalis";

/// What every PNG begins with.
const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";
/// Signature and header: the size of the picture and how it is coded, which always come first.
const HEADER: usize = SIGNATURE.len() + 12 + HEADER_DATA;
const HEADER_DATA: usize = 13;

/// A file's chunks, in order: kind and data. It ends where the file does, or breaks off.
fn chunks(png: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    let mut rest = png.strip_prefix(&SIGNATURE).unwrap_or(&[]);
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (kind, after) = after.split_first_chunk::<4>()?;
        let (data, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        let (_sum, after) = after.split_first_chunk::<4>()?;
        rest = after;
        Some((kind, data))
    })
}

/// Length, kind, data and check sum.
fn chunk(kind: &[u8; 4], data: &[&[u8]]) -> Option<Vec<u8>> {
    let data = data.concat();
    let length = u32::try_from(data.len()).ok()?;
    let body = [&kind[..], &data].concat();
    Some([&length.to_be_bytes()[..], &body, &crc(&body).to_be_bytes()].concat())
}

/// The file with a text added (11.3.4.3); None where it is no PNG, or keyword or text are not plain ASCII.
pub fn with_text(png: &[u8], keyword: &str, text: &str) -> Option<Vec<u8>> {
    let plain = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if !png.starts_with(&SIGNATURE) || !plain(keyword) || !plain(text) {
        return None;
    }
    let (header, rest) = png.split_at_checked(HEADER)?;
    Some([header, &chunk(b"tEXt", &[keyword.as_bytes(), &[0], text.as_bytes()])?, rest].concat())
}

/// The text of a keyword, if the file is a PNG and has it.
pub fn text(png: &[u8], keyword: &str) -> Option<String> {
    let of_keyword = |(kind, data): (&[u8; 4], &[u8])| {
        let text = data.strip_prefix(keyword.as_bytes())?.strip_prefix(&[0])?;
        // Latin 1 is the first 256 characters.
        (kind == b"tEXt").then(|| text.iter().map(|&byte| char::from(byte)).collect())
    };
    chunks(png).find_map(of_keyword)
}

/// One animated picture (APNG, since the third edition of the standard) of several of the same size and coding, which are shown
/// for so many milliseconds each, the last one for longer, again and again. None where there are none, or they differ.
pub fn animated(pictures: &[Vec<u8>], milliseconds: [u16; 2]) -> Option<Vec<u8>> {
    let header = |png: &[u8]| Some(chunks(png).next().filter(|(kind, _)| *kind == b"IHDR")?.1.to_vec());
    let first = header(pictures.first()?)?;
    if first.len() != HEADER_DATA || pictures.iter().any(|png| header(png).as_ref() != Some(&first)) {
        return None;
    }
    let count = u32::try_from(pictures.len()).ok()?;
    let mut file = SIGNATURE.to_vec();
    file.extend(chunk(b"IHDR", &[&first])?);
    // Zero plays: for ever.
    file.extend(chunk(b"acTL", &[&count.to_be_bytes(), &[0; 4]])?);
    let (size, _) = first.split_at(8);
    let mut number = 0u32;
    let mut next = || {
        number += 1;
        (number - 1).to_be_bytes()
    };
    for (index, png) in pictures.iter().enumerate() {
        let [each, last] = milliseconds;
        let delay = if index + 1 == pictures.len() { last } else { each };
        // At the top left corner, in thousandths of a second; the picture before is neither kept nor mixed with.
        let control = [&next()[..], size, &[0; 8], &delay.to_be_bytes(), &1000u16.to_be_bytes(), &[0, 0]].concat();
        file.extend(chunk(b"fcTL", &[&control])?);
        for (_, data) in chunks(png).filter(|(kind, _)| *kind == b"IDAT") {
            file.extend(match index {
                // Readers that know no animation show the first.
                0 => chunk(b"IDAT", &[data])?,
                _ => chunk(b"fdAT", &[&next(), data])?,
            });
        }
    }
    file.extend(chunk(b"IEND", &[])?);
    Some(file)
}

/// The check sum of a chunk (annex D): bit by bit, as the tables of a library would be a tenth of the page.
fn crc(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
}
