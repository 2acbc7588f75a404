//! Pictures from a Parquet file in the Hugging Face layout: a struct column `image` with a field `bytes`.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use parquet::schema::types::Type;

use super::{DataError, Encoded};
use crate::files::FileError;

/// The column's name in the layout, and the field that holds the file's bytes.
const COLUMN: &str = "image";
const BYTES: &str = "bytes";
/// Pictures that are handed over together.
const AT_ONCE: usize = 256;

/// Hands the encoded pictures of a file over, so many at a time that a file of any size fits in memory. A row without
/// bytes is one picture that cannot be read.
pub fn read(path: &Path, mut take: impl FnMut(Vec<Encoded>)) -> Result<(), DataError> {
    let wrong = |reason: String| DataError::Parquet { path: path.to_path_buf(), reason };
    let file = File::open(path).map_err(FileError::at(path, "opening"))?;
    let reader =
        SerializedFileReader::new(file).map_err(|error| wrong(format!("this is no readable Parquet file: {error}")))?;
    let projection = picture_column(reader.metadata().file_metadata().schema()).map_err(wrong)?;
    let rows = reader.get_row_iter(Some(projection)).map_err(|error| wrong(error.to_string()))?;
    let mut some = Vec::new();
    for (index, row) in rows.enumerate() {
        let row = row.map_err(|error| wrong(format!("row {index} cannot be read: {error}")))?;
        let bytes = picture_bytes(&row).ok_or_else(|| "the row holds no bytes".to_string());
        some.push(Encoded { name: format!("{}, row {index}", path.display()), bytes });
        if some.len() == AT_ONCE {
            take(std::mem::take(&mut some));
        }
    }
    take(some);
    Ok(())
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

fn picture_bytes(row: &Row) -> Option<Vec<u8>> {
    let (_, Field::Group(picture)) = row.get_column_iter().next()? else { return None };
    match picture.get_column_iter().next()? {
        (_, Field::Bytes(bytes)) => Some(bytes.data().to_vec()),
        _ => None,
    }
}
