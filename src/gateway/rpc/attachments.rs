//! Files that come with a message: only images are taken, and only when their bytes are what they claim to be.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openclaw_actors::protocol::ErrorShape;
use openclaw_actors::protocol::chat::Attachment;
use openclaw_actors::run::message::TurnImage;

/// Largest image of a WebSocket call, bytes.
pub const IMAGE_BYTES_MAX: usize = 6 * 1024 * 1024;

/// Why something is not an image that a model can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnImage {
    #[error("no base64 content")]
    NotBase64,
    #[error("larger than {0} bytes")]
    TooLarge(usize),
    #[error("only png, jpeg, gif and webp images are supported")]
    OtherKind,
}

/// Checks base64 text and finds out what kind of image it is; `max` counts decoded bytes.
pub fn image(base64: &str, max: usize) -> Result<TurnImage, NotAnImage> {
    if base64.len() / 4 * 3 > max.saturating_add(3) {
        return Err(NotAnImage::TooLarge(max));
    }
    let bytes = STANDARD.decode(base64.trim()).map_err(|_| NotAnImage::NotBase64)?;
    if bytes.is_empty() {
        return Err(NotAnImage::NotBase64);
    }
    if bytes.len() > max {
        return Err(NotAnImage::TooLarge(max));
    }
    let mime_type = kind(&bytes).ok_or(NotAnImage::OtherKind)?.to_owned();
    Ok(TurnImage { data: base64.trim().to_owned(), mime_type })
}

/// The images of a call, or the refusal of the first attachment that is none.
pub fn images(method: &str, attachments: &[Attachment]) -> Result<Vec<TurnImage>, ErrorShape> {
    let read = |(index, attachment): (usize, &Attachment)| {
        let content = attachment.data().ok_or(NotAnImage::NotBase64);
        content.and_then(|(_, data)| image(data, IMAGE_BYTES_MAX)).map_err(|problem| {
            let name = attachment.file_name.clone().unwrap_or_else(|| format!("{}", index + 1));
            ErrorShape::invalid(format!("invalid {method} params: attachment {name}: {problem}"))
        })
    };
    attachments.iter().enumerate().map(read).collect()
}

/// The media type that the first bytes tell; what the sender says is not believed.
fn kind(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_its_bytes() {
        for (bytes, expected) in [
            (&b"\x89PNG\r\n\x1a\n"[..], Ok("image/png")),
            (b"\xff\xd8\xff\xe0", Ok("image/jpeg")),
            (b"GIF89a", Ok("image/gif")),
            (b"RIFF\x04\0\0\0WEBPVP8 ", Ok("image/webp")),
            (b"%PDF-1.7", Err(NotAnImage::OtherKind)),
            (b"", Err(NotAnImage::NotBase64)),
            (b"GIF89a, but far too long", Err(NotAnImage::TooLarge(16))),
        ] {
            let read = image(&STANDARD.encode(bytes), 16);
            assert_eq!(read.as_ref().map(|image| image.mime_type.as_str()), expected.as_ref().copied(), "{bytes:?}");
        }
        assert_eq!(image("not base64!", 16), Err(NotAnImage::NotBase64));
    }

    #[test]
    fn the_attachment_at_fault_is_named() {
        let good = Attachment { content: Some(STANDARD.encode(b"GIF89a")), ..Attachment::default() };
        let bad = Attachment {
            file_name: Some("a.pdf".into()),
            content: Some(STANDARD.encode(b"%PDF-1.7")),
            ..Attachment::default()
        };
        assert_eq!(images("chat.send", std::slice::from_ref(&good)).unwrap()[0].mime_type, "image/gif");
        assert_eq!(
            images("chat.send", &[good, bad]).unwrap_err().message,
            "invalid chat.send params: attachment a.pdf: only png, jpeg, gif and webp images are supported"
        );
    }
}
