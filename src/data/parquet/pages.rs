//! Looks at a file before the reader does, which allocates whatever a header claims, and decompresses some codecs to
//! whatever they come to: a file of kilobytes could ask for gigabytes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Error, Read, Result, Seek, SeekFrom, copy, sink};

use parquet::basic::Compression;
use parquet::file::metadata::ColumnChunkMetaData;

use super::thrift::{BINARY, FALSE, I32, LIST, STRUCT, TRUE, Values};

/// The most bytes of a page when it is decompressed. Writers that look at a page's size only every thousand rows make
/// pages of hundreds of megabytes out of pictures.
const LARGEST_PAGE: u64 = 1 << 30;
/// The longest footer, and how deep the columns of its schema may lie in one another. Both are far above what tables of
/// pictures have; the reader descends by recursion.
const LONGEST_FOOTER: u64 = 16 << 20;
const DEEPEST_COLUMN: usize = 32;

/// The encodings of bytes that are read: plain, and dictionaries under their old and their new number. Others build a
/// value from the one before it, so that each of a thousand rows could be as long as the page.
const ENCODINGS: [i64; 3] = [0, 2, 8];

/// Codecs that are decompressed without regard to the size that a page claims.
enum Unbounded {
    Gzip,
    Brotli,
}

/// Checks that the footer lies in the file, and that its schema is one that can be descended.
pub fn check_footer(file: &File) -> std::result::Result<(), String> {
    footer(file).map_err(|error| error.to_string())
}

fn footer(file: &File) -> Result<()> {
    let mut file = file;
    let end = file.metadata()?.len().checked_sub(8).ok_or_else(|| Error::other("it is too short"))?;
    file.seek(SeekFrom::Start(end))?;
    let mut length = [0; 4];
    file.read_exact(&mut length)?;
    let length = u64::from(u32::from_le_bytes(length));
    if length > LONGEST_FOOTER.min(end) {
        return Err(Error::other(format!(
            "its footer claims {length} bytes, but {} are possible",
            LONGEST_FOOTER.min(end)
        )));
    }
    file.seek(SeekFrom::Start(end - length))?;
    let mut values = Values::new(BufReader::new(file), length);
    let mut last = 0;
    while let Some(field) = values.field(last)? {
        match (field.id, field.kind) {
            // FileMetaData.schema: a tree, written in the order in which it is descended.
            (2, LIST) => check_schema(&mut values)?,
            (2, _) => return Err(Error::other("its schema is none")),
            (_, kind) => values.skip(kind)?,
        }
        last = field.id;
    }
    Ok(())
}

fn check_schema(values: &mut Values<impl Read>) -> Result<()> {
    let (kind, count) = values.list()?;
    if kind != STRUCT && count > 0 {
        return Err(Error::other("its schema is none"));
    }
    // How many children are still to come, of each column from the root to where we are.
    let mut open: Vec<i64> = Vec::new();
    for _ in 0..count {
        let mut children = 0;
        let mut last = 0;
        while let Some(field) = values.field(last)? {
            match (field.id, field.kind) {
                (5, I32) => children = values.number()?,
                (1..=3 | 6..=9, I32) | (4, BINARY) | (10.., _) => values.skip(field.kind)?,
                _ => return Err(Error::other("its schema is none")),
            }
            last = field.id;
        }
        if let Some(left) = open.last_mut() {
            *left -= 1;
        }
        if children > 0 {
            open.push(children);
        } else {
            while open.last() == Some(&0) {
                open.pop();
            }
        }
        if open.len() > DEEPEST_COLUMN {
            return Err(Error::other(format!("its columns lie more than {DEEPEST_COLUMN} deep in one another")));
        }
    }
    Ok(())
}

/// Checks every page of a column in a row group of so many rows.
pub fn check(file: &File, column: &ColumnChunkMetaData, rows: i64) -> std::result::Result<(), String> {
    let unbounded = match column.compression() {
        Compression::GZIP(_) => Some(Unbounded::Gzip),
        Compression::BROTLI(_) => Some(Unbounded::Brotli),
        _ => None,
    };
    let end = file.metadata().map_err(|error| error.to_string())?.len();
    let (start, length) =
        (column.dictionary_page_offset().unwrap_or(column.data_page_offset()), column.compressed_size());
    let ends_at = start.checked_add(length).and_then(|end| u64::try_from(end).ok());
    let (Ok(mut at), Ok(mut left), Some(_)) =
        (u64::try_from(start), u64::try_from(length), ends_at.filter(|ends_at| *ends_at <= end))
    else {
        return Err("it claims to lie outside of the file".into());
    };
    let mut number = 0;
    while left > 0 {
        let wrong = |reason: &dyn std::fmt::Display| format!("its page {number}: {reason}");
        let page = Page::read(file, at, left).map_err(|error| wrong(&error))?;
        page.check(rows).map_err(|reason| wrong(&reason))?;
        if let Some(codec) = &unbounded
            && page.is_compressed()
        {
            page.check_decompressed(file, codec).map_err(|reason| wrong(&reason))?;
        }
        at = page.start + page.length;
        left -= page.header + page.length;
        number += 1;
    }
    Ok(())
}

/// A page, as its header describes it.
struct Page {
    /// The header's numbers that are looked at, by the numbers of their fields: (2, 0) is a field of the header itself,
    /// (5, 2) one of the struct that is its field 5.
    numbers: BTreeMap<(i16, i16), i64>,
    /// Length of the header.
    header: u64,
    /// Where what follows the header begins.
    start: u64,
    /// The length of that.
    length: u64,
}

/// Fields of parquet.thrift's PageHeader.
const UNCOMPRESSED: (i16, i16) = (2, 0);
const COMPRESSED: (i16, i16) = (3, 0);
const DATA_ENCODING: (i16, i16) = (5, 2);
const DICTIONARY_COUNT: (i16, i16) = (7, 1);
const DICTIONARY_ENCODING: (i16, i16) = (7, 2);
const DATA_V2_ENCODING: (i16, i16) = (8, 4);
const DEFINITIONS_LENGTH: (i16, i16) = (8, 5);
const REPETITIONS_LENGTH: (i16, i16) = (8, 6);
const IS_COMPRESSED: (i16, i16) = (8, 7);

impl Page {
    /// Reads a header of at most `left` bytes, with what follows it. A field of another type than its own, or one that is
    /// there twice, could be read in two ways, and is refused.
    fn read(mut file: &File, at: u64, left: u64) -> Result<Self> {
        file.seek(SeekFrom::Start(at))?;
        let mut values = Values::new(BufReader::new(file), left);
        let mut numbers = BTreeMap::new();
        let mut last = 0;
        while let Some(field) = values.field(last)? {
            match (field.id, field.kind) {
                (1..=4, I32) => note(&mut numbers, (field.id, 0), values.number()?)?,
                (5..=8, STRUCT) => {
                    let mut last = 0;
                    while let Some(inner) = values.field(last)? {
                        match (field.id, inner.id, inner.kind) {
                            (5, 1..=4, I32) | (7, 1..=2, I32) | (8, 1..=6, I32) => {
                                note(&mut numbers, (field.id, inner.id), values.number()?)?;
                            }
                            (7, 3, TRUE | FALSE) | (8, 7, TRUE | FALSE) => {
                                note(&mut numbers, (field.id, inner.id), i64::from(inner.kind == TRUE))?;
                            }
                            (6, ..) | (5, 5.., _) | (7, 4.., _) | (8, 8.., _) => values.skip(inner.kind)?,
                            _ => return Err(Error::other("its header has a field of a wrong type")),
                        }
                        last = inner.id;
                    }
                }
                (9.., kind) => values.skip(kind)?,
                _ => return Err(Error::other("its header has a field of a wrong type")),
            }
            last = field.id;
        }
        let header = values.read;
        let length = numbers.get(&COMPRESSED).and_then(|length| u64::try_from(*length).ok());
        match length.filter(|length| *length <= left - header) {
            Some(length) => Ok(Self { numbers, header, start: at + header, length }),
            None => Err(Error::other("it does not say where it ends")),
        }
    }

    fn number(&self, field: (i16, i16)) -> i64 {
        self.numbers.get(&field).copied().unwrap_or(0)
    }

    fn check(&self, rows: i64) -> std::result::Result<(), String> {
        let claimed = self.number(UNCOMPRESSED);
        if !u64::try_from(claimed).is_ok_and(|claimed| claimed <= LARGEST_PAGE) {
            return Err(too_large(&format!("it claims {claimed} bytes")));
        }
        let entries = self.number(DICTIONARY_COUNT);
        if entries > rows {
            return Err(format!("its dictionary claims {entries} entries for {rows} rows"));
        }
        for field in [DATA_ENCODING, DICTIONARY_ENCODING, DATA_V2_ENCODING] {
            let found = self.number(field);
            if !ENCODINGS.contains(&found) {
                return Err(format!(
                    "its encoding is number {found} of the format: write the file again with plain values or a dictionary"
                ));
            }
        }
        Ok(())
    }

    fn is_compressed(&self) -> bool {
        self.numbers.get(&IS_COMPRESSED) != Some(&0)
    }

    /// Decompresses the page to nowhere, up to what it claims to come to.
    fn check_decompressed(&self, mut file: &File, codec: &Unbounded) -> std::result::Result<(), String> {
        // Levels of a page of the second version lie before what is compressed.
        let levels = self.number(DEFINITIONS_LENGTH).saturating_add(self.number(REPETITIONS_LENGTH));
        let levels = u64::try_from(levels).unwrap_or(u64::MAX).min(self.length);
        file.seek(SeekFrom::Start(self.start + levels)).map_err(|error| error.to_string())?;
        let compressed = BufReader::new(file).take(self.length - levels);
        let most = self.number(UNCOMPRESSED) as u64;
        let count = |decompressed: &mut dyn Read| copy(&mut decompressed.take(most + 1), &mut sink());
        let found = match codec {
            Unbounded::Gzip => count(&mut flate2::bufread::MultiGzDecoder::new(compressed)),
            Unbounded::Brotli => count(&mut brotli::Decompressor::new(compressed, 1 << 16)),
        };
        match found {
            Ok(found) if found > most => Err(too_large(&format!("it claims {most} bytes and comes to more"))),
            // What else is wrong with it, the reader says.
            _ => Ok(()),
        }
    }
}

fn note(numbers: &mut BTreeMap<(i16, i16), i64>, field: (i16, i16), value: i64) -> Result<()> {
    match numbers.insert(field, value) {
        None => Ok(()),
        Some(_) => Err(Error::other("its header has a field twice")),
    }
}

fn too_large(what: &str) -> String {
    format!(
        "{what}, and a page may have {} MB: if the file is to be trusted, write it again with fewer rows a page or a row group",
        LARGEST_PAGE >> 20
    )
}
