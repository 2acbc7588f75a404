//! Pictures from a Parquet file in the Hugging Face layout: a struct column `image` with a field `bytes`.

mod pages;
mod thrift;

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Repetition, Type as PhysicalType};
use parquet::file::properties::ReaderProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::serialized_reader::ReadOptionsBuilder;
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use parquet::schema::types::Type;

use super::{DataError, Encoded, LARGEST_FILE};
use crate::files::FileError;

/// The column's name in the layout, and the field that holds the file's bytes.
const COLUMN: &str = "image";
const BYTES: &str = "bytes";
/// Pictures that are handed over together, and the bytes from which on fewer are: many rows may hold one large picture of
/// a dictionary.
const AT_ONCE: usize = 256;
const BYTES_AT_ONCE: usize = 256 << 20;
/// The most rows of a file: one that says how many it has needs no bytes for them.
const MOST_ROWS: u64 = 1 << 20;

/// Hands the encoded pictures of a file over, so many at a time that a file of any size fits in memory. A row without
/// bytes is one picture that cannot be read.
pub fn read(path: &Path, mut take: impl FnMut(Vec<Encoded>)) -> Result<(), DataError> {
    let wrong = |reason: String| DataError::Parquet { path: path.to_path_buf(), reason };
    let file = File::open(path).map_err(FileError::at(path, "opening"))?;
    // The reader trusts what it reads, and panics or worse where that contradicts itself.
    let read = AssertUnwindSafe(|| read_rows(&file, &path.display().to_string(), &mut take));
    catch_unwind(read).unwrap_or_else(|_| Err("it contradicts itself: the reader failed over it".into())).map_err(wrong)
}

fn read_rows(file: &File, name: &str, take: &mut impl FnMut(Vec<Encoded>)) -> Result<(), String> {
    let unreadable = |reason: String| format!("this is no readable Parquet file: {reason}");
    pages::check_footer(file).map_err(unreadable)?;
    // LZ4 in the frames of old writers would be decompressed to whatever it comes to.
    let properties = ReaderProperties::builder().set_backward_compatible_lz4(false).build();
    let options = ReadOptionsBuilder::new().with_reader_properties(properties).build();
    let own = file.try_clone().map_err(|error| error.to_string())?;
    let reader = SerializedFileReader::new_with_options(own, options).map_err(|error| unreadable(error.to_string()))?;
    let metadata = reader.metadata();
    let projection = picture_column(metadata.file_metadata().schema()).map_err(|reason| {
        format!("{reason}. Expected is the Hugging Face layout: a struct column '{COLUMN}' with a field '{BYTES}'")
    })?;
    let rows = metadata.row_groups().iter().map(|group| u64::try_from(group.num_rows()).unwrap_or(u64::MAX));
    let rows = rows.fold(0, u64::saturating_add);
    if rows > MOST_ROWS {
        return Err(format!("it claims {rows} rows, and at most {MOST_ROWS} are read: write them into several files"));
    }
    let mut some = Rows { name, take, held: Vec::new(), bytes: 0, count: 0 };
    for (number, group) in metadata.row_groups().iter().enumerate() {
        let wrong = |reason: String| format!("row group {number} cannot be read: {reason}");
        // More than one if the file has the column twice; which of them is read is the reader's choice.
        for column in group.columns().iter().filter(|column| column.column_path().parts() == [COLUMN, BYTES]) {
            pages::check(file, column, group.num_rows()).map_err(wrong)?;
        }
        let group = reader.get_row_group(number).map_err(|error| wrong(error.to_string()))?;
        let rows = RowIter::from_row_group(Some(projection.clone()), &*group);
        for row in rows.map_err(|error| wrong(error.to_string()))? {
            let row = row.map_err(|error| format!("row {} cannot be read: {error}", some.count))?;
            some.add(&row);
        }
    }
    some.hand_over();
    Ok(())
}

/// Pictures on their way to who decodes them.
struct Rows<'a, Take> {
    name: &'a str,
    take: &'a mut Take,
    held: Vec<Encoded>,
    /// How many bytes those have together.
    bytes: usize,
    /// Rows so far.
    count: usize,
}

impl<Take: FnMut(Vec<Encoded>)> Rows<'_, Take> {
    fn add(&mut self, row: &Row) {
        let bytes = picture_bytes(row);
        self.bytes += bytes.as_ref().map_or(0, Vec::len);
        self.held.push(Encoded { name: format!("{}, row {}", self.name, self.count), bytes });
        self.count += 1;
        if self.held.len() == AT_ONCE || self.bytes >= BYTES_AT_ONCE {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        self.bytes = 0;
        (self.take)(std::mem::take(&mut self.held));
    }
}

/// The schema cut down to the picture's bytes, so that no other column is read.
fn picture_column(schema: &Type) -> Result<Type, String> {
    let columns: Vec<&str> = schema.get_fields().iter().map(|field| field.name()).collect();
    let column = schema
        .get_fields()
        .iter()
        .find(|field| field.name() == COLUMN && field.is_group())
        .ok_or_else(|| format!("there is no struct column '{COLUMN}' among the columns {}", columns.join(", ")))?;
    let bytes = column
        .get_fields()
        .iter()
        .find(|field| field.name() == BYTES)
        .ok_or_else(|| format!("the column '{COLUMN}' has no field '{BYTES}'"))?;
    let is_list = |field: &Type| {
        field.get_basic_info().has_repetition() && field.get_basic_info().repetition() == Repetition::REPEATED
    };
    if !bytes.is_primitive()
        || bytes.get_physical_type() != PhysicalType::BYTE_ARRAY
        || is_list(column)
        || is_list(bytes)
    {
        return Err(format!("the field '{BYTES}' of the column '{COLUMN}' is not the bytes of one picture a row"));
    }
    let column = Type::group_type_builder(COLUMN)
        .with_repetition(column.get_basic_info().repetition())
        .with_fields(vec![Arc::clone(bytes)])
        .build()
        .map_err(|error| error.to_string())?;
    Type::group_type_builder(schema.name())
        .with_fields(vec![Arc::new(column)])
        .build()
        .map_err(|error| error.to_string())
}

fn picture_bytes(row: &Row) -> Result<Vec<u8>, String> {
    let none = || Err("the row holds no bytes".to_string());
    let Some((_, Field::Group(picture))) = row.get_column_iter().next() else { return none() };
    match picture.get_column_iter().next() {
        Some((_, Field::Bytes(bytes))) if bytes.len() as u64 > LARGEST_FILE => {
            Err(format!("it is larger than {} MB", LARGEST_FILE >> 20))
        }
        Some((_, Field::Bytes(bytes))) => Ok(bytes.data().to_vec()),
        _ => none(),
    }
}
