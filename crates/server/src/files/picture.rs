//! Thumbnails: bounded in pixels before a picture is decoded, for its file may be hostile.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

/// Pixels of a thumbnail's longer side: twice what the page shows, for screens with fine pixels.
const SIDE: u32 = 640;

/// The most memory that decoding takes for each pixel, in bytes: RGBA, and what a decoder needs beside it.
const BYTES_A_PIXEL: u64 = 8;

/// A thumbnail, and the size of the picture as it is to be seen.
pub(super) struct Thumbnail {
    pub(super) bytes: Vec<u8>,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// The thumbnail of a picture, unless it has more than `pixels` or is no picture after all. One at a time, by `decoding`.
pub(super) fn thumbnail(
    bytes: &[u8],
    media_type: &str,
    pixels: u64,
    decoding: &Mutex<()>,
) -> Option<Thumbnail> {
    let format = match media_type {
        "image/png" => ImageFormat::Png,
        "image/jpeg" => ImageFormat::Jpeg,
        "image/gif" => ImageFormat::Gif,
        "image/webp" => ImageFormat::WebP,
        _ => return None,
    };
    let _one = decoding.lock().unwrap_or_else(PoisonError::into_inner);
    // A decoder that trips over a picture must not take the server with it.
    catch_unwind(AssertUnwindSafe(|| decode(bytes, format, pixels))).ok().flatten()
}

fn decode(bytes: &[u8], format: ImageFormat, pixels: u64) -> Option<Thumbnail> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_alloc = Some(pixels.saturating_mul(BYTES_A_PIXEL));
    reader.limits(limits);
    let mut decoder = reader.into_decoder().ok()?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > pixels {
        return None;
    }
    let orientation = decoder.orientation().unwrap_or(image::metadata::Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).ok()?;
    picture.apply_orientation(orientation);
    let (width, height) = (picture.width(), picture.height());
    let small = if width > SIDE || height > SIDE { picture.thumbnail(SIDE, SIDE) } else { picture };
    let mut bytes = Vec::new();
    if small.color().has_alpha() {
        small.to_rgba8().write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).ok()?;
    } else {
        JpegEncoder::new_with_quality(&mut bytes, 82).encode_image(&small.to_rgb8()).ok()?;
    }
    Some(Thumbnail { bytes, width, height })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        DynamicImage::new_rgb8(width, height)
            .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
            .unwrap();
        bytes
    }

    #[test]
    fn a_picture_gets_smaller_and_keeps_its_shape() {
        let found = thumbnail(&png(1280, 320), "image/png", 1_000_000, &Mutex::default()).unwrap();
        assert_eq!((found.width, found.height), (1280, 320));
        let small = image::load_from_memory(&found.bytes).unwrap();
        assert_eq!((small.width(), small.height()), (640, 160));
    }

    #[test]
    fn what_is_too_large_or_no_picture_has_none() {
        let decoding = Mutex::default();
        assert!(thumbnail(&png(1001, 1000), "image/png", 1_000_000, &decoding).is_none());
        assert!(thumbnail(&png(10, 10)[..40], "image/png", 1_000_000, &decoding).is_none());
        assert!(thumbnail(b"GIF89a", "image/gif", 1_000_000, &decoding).is_none());
        assert!(thumbnail(&png(10, 10), "application/pdf", 1_000_000, &decoding).is_none());
    }
}
