//! The bytes around the tensors: a safetensors file with a description of ours, some of whose tensors are coded. What needs
//! no network and no device, so that a page can look at a file before it hands it to its workers.

use std::borrow::Cow;
use std::collections::HashMap;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use thiserror::Error;

/// The metadata key under which the description is kept.
pub(super) const KEY: &str = "chrysalis";
/// The longest header that is read: a network of a thousand tensors needs a tenth of it.
const LONGEST_HEADER: u64 = 1 << 20;
/// The most numbers that a coded byte may stand for. Sound files have less than two; deflate would allow a thousand,
/// and a file of kilobytes could ask for gigabytes.
const MOST_COMPRESSED: usize = 16;
/// The tensors that may be mostly zeros, and how many numbers they may have. Principal components of whole pictures: a mean and 128
/// components of 64 × 64 pixels.
pub const COMPONENTS: &str = "0.components";
pub const MOST_OF_COMPONENTS: usize = 129 * 3 * 64 * 64;
/// Clusters along these: where 64 lie, and for each a share and 128 reaches.
pub const CENTRES: &str = "0.clusters.centres";
pub const REACHES: &str = "0.clusters.reaches";
pub const MOST_OF_CLUSTERS: usize = 64 * 129;
/// The most numbers of a file that are decoded at once: beside two copies of them a browser has no memory for more.
const MOST_DECODED: usize = 1 << 28;
/// After so many decoded numbers, and the rest of their tensor, whoever waits is let in: some milliseconds in a browser.
const PIECE: usize = 1 << 18;

/// What is wrong with a file before anything is known of its network.
#[derive(Debug, Error)]
pub enum ContainerError {
    /// Not even a header.
    #[error(
        "the weight file has {found} bytes, too few to be one: it is empty or was cut off; fetch or export it again"
    )]
    TooShort {
        /// Its length.
        found: usize,
    },
    /// The header says that it is longer than headers are, or than the file.
    #[error(
        "the weight file's header claims {claimed} bytes, but {most} are possible: it was cut off, or is not a safetensors file"
    )]
    HeaderLength {
        /// What it claims.
        claimed: u64,
        /// What could be.
        most: u64,
    },
    /// The header is not one.
    #[error("the weight file's header cannot be read: {0}")]
    Header(String),
    /// The tensors do not fill the file exactly.
    #[error(
        "the weight file's length does not match its header ({0}): it was cut off or something was appended; fetch or export it again"
    )]
    Length(String),
    /// A safetensors file of another program.
    #[error(
        "the weight file has no '{KEY}' in its metadata: it comes from another program; export one with 'train --export'"
    )]
    Foreign,
    /// A coded tensor cannot be decoded.
    #[error("the coded tensor '{name}' cannot be decoded: the file is damaged; fetch or export it again")]
    Coding {
        /// Which tensor.
        name: String,
    },
}

/// A file whose header fits its length.
pub struct Container<'a> {
    /// Its tensors, not looked at.
    pub tensors: SafeTensors<'a>,
    /// Its description, not looked at either.
    pub description: String,
}

impl<'a> Container<'a> {
    /// Reads the header.
    ///
    /// # Errors
    /// When it is none, does not fit the file's length, or is of another program.
    pub fn open(bytes: &'a [u8]) -> Result<Self, ContainerError> {
        check_header_length(bytes)?;
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(header_error)?;
        let tensors = SafeTensors::deserialize(bytes).map_err(header_error)?;
        let description = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
        Ok(Self { tensors, description: description.ok_or(ContainerError::Foreign)?.clone() })
    }
}

/// Whether bytes are a weight file of this crate, of any layout, sound or not.
pub fn is_weight_file(bytes: &[u8]) -> bool {
    check_header_length(bytes).is_ok()
        && SafeTensors::read_metadata(bytes)
            .is_ok_and(|(_, file)| file.metadata().as_ref().is_some_and(|metadata| metadata.contains_key(KEY)))
}

/// The same file with its coded tensors as plain int8 ones: what takes longest in decoding, done once for any number of
/// devices that `decode` loads it onto. The numbers stay what they are, and what only the network can tell of them is
/// left for `decode` to check. `pause` lets others in between pieces of the work.
///
/// # Errors
/// When the header or a coded tensor is wrong. Nothing is allocated beyond a small multiple of the file's own length.
pub async fn inflated(bytes: &[u8], mut pause: impl AsyncFnMut()) -> Result<Vec<u8>, ContainerError> {
    let Container { tensors, description } = Container::open(bytes)?;
    let (mut plain, mut done, mut left) = (Vec::new(), 0, MOST_DECODED);
    for (name, view) in tensors.iter() {
        if done >= PIECE {
            pause().await;
            done = 0;
        }
        plain.push(match view.dtype() {
            Dtype::U8 => {
                let numbers = inflate(name, view.data(), left)?;
                done += numbers.len();
                left -= numbers.len();
                (name, Dtype::I8, vec![numbers.len()], Cow::Owned(numbers))
            }
            dtype => (name, dtype, view.shape().to_vec(), Cow::Borrowed(view.data())),
        });
    }
    pause().await;
    let views = plain
        .iter()
        .map(|(name, dtype, shape, data)| Ok((*name, TensorView::new(*dtype, shape.clone(), data)?)))
        .collect::<Result<Vec<_>, _>>()
        .map_err(header_error)?;
    safetensors::serialize(views, Some(HashMap::from([(KEY.to_string(), description)]))).map_err(header_error)
}

/// The numbers of a tensor as `Storage::Compact` codes it, a byte each.
///
/// # Errors
/// When it is not coded so, or stands for more than `most` numbers.
pub(super) fn inflate(name: &str, coded: &[u8], most: usize) -> Result<Vec<u8>, ContainerError> {
    let most = most.min(match name {
        COMPONENTS => MOST_OF_COMPONENTS,
        CENTRES | REACHES => MOST_OF_CLUSTERS,
        _ => coded.len().saturating_mul(MOST_COMPRESSED),
    });
    miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(coded, most)
        .map_err(|_| ContainerError::Coding { name: name.into() })
}

fn check_header_length(bytes: &[u8]) -> Result<(), ContainerError> {
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(ContainerError::TooShort { found: bytes.len() });
    };
    let claimed = u64::from_le_bytes(*length);
    let most = LONGEST_HEADER.min(rest.len() as u64);
    if claimed > most { Err(ContainerError::HeaderLength { claimed, most }) } else { Ok(()) }
}

fn header_error(error: SafeTensorError) -> ContainerError {
    match error {
        SafeTensorError::MetadataIncompleteBuffer => {
            ContainerError::Length("the tensors end elsewhere than the file".into())
        }
        SafeTensorError::InvalidOffset(name) => {
            ContainerError::Length(format!("tensor '{name}' has impossible offsets"))
        }
        SafeTensorError::TensorInvalidInfo => ContainerError::Length("a tensor's shape does not fill its bytes".into()),
        other => ContainerError::Header(other.to_string()),
    }
}
