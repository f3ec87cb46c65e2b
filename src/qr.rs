//! Codes that a telephone scans, drawn with characters. Checks: tests/cli.rs, tests/web.

use qrcodegen::{QrCode, QrCodeEcc};

/// Light modules around a QR code. The standard says 4; 2 are enough on a screen.
const QR_MARGIN: i32 = 2;

/// A QR code in half blocks, two rows a line. Light modules are drawn, as most terminals are dark;
/// on a terminal the colours are set to make sure. None of more than 2,953 bytes.
pub(crate) fn qr_code(text: &str, colours: bool) -> Option<String> {
    let code = QrCode::encode_binary(text.as_bytes(), QrCodeEcc::Low).ok()?;
    let (start, end) = if colours { ("\u{1b}[97;40m", "\u{1b}[0m\n") } else { ("", "\n") };
    let edge = code.size() + QR_MARGIN;
    let mut text = String::new();
    for y in (-QR_MARGIN..edge).step_by(2) {
        text.push_str(start);
        for x in -QR_MARGIN..edge {
            let (upper, lower) = (!code.get_module(x, y), !code.get_module(x, y + 1));
            text.push(match (upper, lower && y + 1 < edge) {
                (true, true) => '█',
                (true, false) => '▀',
                (false, true) => '▄',
                (false, false) => ' ',
            });
        }
        text.push_str(end);
    }
    Some(text)
}
