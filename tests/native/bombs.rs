//! Parquet files of kilobytes that ask for gigabytes: each is refused before it gets them, with a sentence that says
//! where it asks and what to do.

use std::fs;
use std::io::Write;
use std::sync::Arc;

use chrysalis::data::{Dataset, Squaring};
use parquet::basic::{Compression, Encoding};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, ParquetMetaData, ParquetMetaDataWriter, RowGroupMetaData,
};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::SchemaDescriptor;

use crate::support::text;

/// A file of one row group whose pages, and whatever they claim, are written as they are given.
struct Pages {
    codec: Compression,
    rows: i64,
    /// Each with the size that it claims to have decompressed.
    pages: Vec<(Page, usize)>,
}

impl Pages {
    fn file(self) -> Vec<u8> {
        let Self { codec, rows, pages } = self;
        let schema = "message schema { required group image { required binary bytes; } }";
        let schema = Arc::new(SchemaDescriptor::new(Arc::new(parse_message_type(schema).unwrap())));
        let mut bytes = Vec::new();
        let mut out = TrackedWrite::new(&mut bytes);
        out.write_all(b"PAR1").unwrap();
        let mut writer = SerializedPageWriter::new(&mut out);
        let (mut dictionary, mut data, mut length) = (None, 4, 0);
        for (page, claimed) in pages {
            let is_dictionary = matches!(page, Page::DictionaryPage { .. });
            let spec = writer.write_page(CompressedPage::new(page, claimed)).unwrap();
            if is_dictionary {
                (dictionary, data) = (Some(spec.offset as i64), (spec.offset + spec.bytes_written) as i64);
            }
            length += spec.bytes_written as i64;
        }
        let column = ColumnChunkMetaData::builder(schema.column(0))
            .set_compression(codec)
            .set_encodings(vec![Encoding::PLAIN])
            .set_num_values(rows)
            .set_total_compressed_size(length)
            .set_total_uncompressed_size(length)
            .set_dictionary_page_offset(dictionary)
            .set_data_page_offset(data);
        let group = RowGroupMetaData::builder(Arc::clone(&schema))
            .set_num_rows(rows)
            .set_column_metadata(vec![column.build().unwrap()])
            .build()
            .unwrap();
        let metadata = ParquetMetaData::new(FileMetaData::new(1, rows, None, None, schema, None), vec![group]);
        ParquetMetaDataWriter::new_with_tracked(out, &metadata).finish().unwrap();
        bytes
    }
}

fn page(body: Vec<u8>, rows: u32, encoding: Encoding) -> Page {
    let [def_level_encoding, rep_level_encoding] = [Encoding::RLE; 2];
    Page::DataPage {
        buf: body.into(),
        num_values: rows,
        encoding,
        def_level_encoding,
        rep_level_encoding,
        statistics: None,
    }
}

/// One plain value.
fn value(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes(), bytes].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 1 << 20, 3, 22);
    encoder.write_all(bytes).unwrap();
    encoder.into_inner()
}

/// A schema of columns so deep in one another, and no rows.
fn deep(depth: usize) -> Vec<u8> {
    let count = depth as u32 + 1;
    let mut footer = vec![0x15, 2, 0x19, 0xfc];
    footer.extend([count as u8 | 128, (count >> 7) as u8 | 128, (count >> 14) as u8]);
    for _ in 0..depth {
        // Optional, of the name "a", with one child.
        footer.extend([0x35, 2, 0x18, 1, b'a', 0x15, 2, 0]);
    }
    // Bytes, optional, of the name "a"; and no rows in no row groups.
    footer.extend([0x15, 12, 0x25, 2, 0x18, 1, b'a', 0, 0x16, 0, 0x19, 0x0c, 0]);
    let length = (footer.len() as u32).to_le_bytes();
    [b"PAR1", footer.as_slice(), &length, b"PAR1"].concat()
}

/// Files that ask for more than they should have, and what is said about them.
pub fn bombs() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let zeros = vec![0; 64 << 20];
    let plain = |body: Vec<u8>| page(body, 1, Encoding::PLAIN);
    let dictionary = |body: Vec<u8>, num_values| Page::DictionaryPage {
        buf: body.into(),
        num_values,
        encoding: Encoding::PLAIN,
        is_sorted: false,
    };
    let file = |codec, rows, pages| Pages { codec, rows, pages }.file();
    let (gzipped, brotlied) = (Compression::GZIP(Default::default()), Compression::BROTLI(Default::default()));
    vec![
        // One after the other the members come to 8 GiB.
        (
            "gzip",
            file(gzipped, 1, vec![(plain(gzip(&zeros).repeat(128)), 1000)]),
            "row group 0 cannot be read: its page 0: it claims 1000 bytes and comes to more, and a page may have 1024 MB: if \
             the file is to be trusted, write it again with fewer rows",
        ),
        (
            "small gzip",
            file(gzipped, 1, vec![(plain(gzip(&zeros[..4 << 20])), 1000)]),
            "it claims 1000 bytes and comes to more",
        ),
        ("brotli", file(brotlied, 1, vec![(plain(brotli(&zeros)), 1000)]), "it claims 1000 bytes and comes to more"),
        (
            "claim",
            file(Compression::SNAPPY, 1, vec![(plain(vec![1; 9]), i32::MAX as usize)]),
            "it claims 2147483647 bytes",
        ),
        (
            "entries",
            file(
                Compression::UNCOMPRESSED,
                1,
                vec![
                    (dictionary(value(b"a"), i32::MAX as u32), 5),
                    (page(vec![0, 2, 0], 1, Encoding::RLE_DICTIONARY), 3),
                ],
            ),
            "its dictionary claims 2147483647 entries for 1 rows",
        ),
        (
            "rows",
            file(Compression::UNCOMPRESSED, 1 << 40, vec![(page(vec![], 0, Encoding::PLAIN), 0)]),
            "it claims 1099511627776 rows",
        ),
        (
            "prefixes",
            file(Compression::UNCOMPRESSED, 1, vec![(page(vec![0; 64], 1, Encoding::DELTA_BYTE_ARRAY), 64)]),
            "its encoding is number 7",
        ),
        ("deep schema", deep(1500), "its columns lie more than 32 deep"),
        ("deeper schema", deep(1_000_000), "its columns lie more than 32 deep"),
    ]
}

fn load(bytes: &[u8]) -> Result<Dataset, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    fs::write(&path, bytes).unwrap();
    Dataset::load(&text(&path), 16, Squaring::Pad).map_err(|error| error.to_string())
}

#[test]
fn parquet_that_asks_for_gigabytes_is_refused() {
    for (name, bytes, needed) in bombs() {
        let error = load(&bytes).err().unwrap_or_else(|| panic!("{name} is read"));
        assert!(error.contains("a.parquet: ") && error.contains(needed), "{name}: {error}");
    }
}

/// 300 rows of a picture of 32 MB that is there once: 9.4 GB, if they were all held.
#[test]
fn many_rows_of_one_large_picture_are_not_held_together() {
    let large = value(&vec![7; 32 << 20]);
    let mut rows = vec![1];
    // One run of the dictionary's first entry.
    rows.extend([(300u32 << 1) as u8 | 128, (300u32 << 1 >> 7) as u8, 0]);
    let pages = vec![
        (
            Page::DictionaryPage {
                buf: gzip(&large).into(),
                num_values: 1,
                encoding: Encoding::PLAIN,
                is_sorted: false,
            },
            large.len(),
        ),
        (page(gzip(&rows), 300, Encoding::RLE_DICTIONARY), rows.len()),
    ];
    let error = load(&Pages { codec: Compression::GZIP(Default::default()), rows: 300, pages }.file()).unwrap_err();
    assert!(error.contains("300 looked at, 300 skipped"), "{error}");
    #[cfg(target_os = "linux")]
    {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let most: u64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap();
        assert!(most < 4 << 20, "{most} kB at once");
    }
}
