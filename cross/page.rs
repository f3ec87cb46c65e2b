//! Packs the page of `--web` for the program, as gzip, which every browser takes; what only readers
//! of the source need is left out. Without the feature `web` it does nothing. C197.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=cross/page.rs");
    println!("cargo::rerun-if-changed=src/net/web/page");
    #[cfg(feature = "web")]
    pack()?;
    Ok(())
}

#[cfg(feature = "web")]
fn pack() -> Result<(), Box<dyn Error>> {
    use std::fs::{File, read_to_string};
    use std::path::PathBuf;

    #[expect(clippy::disallowed_methods, reason = "so cargo says where it goes")]
    let folder = PathBuf::from(std::env::var("OUT_DIR")?);
    for name in ["page.css", "page.js"] {
        let text = read_to_string(["src/net/web/page/", name].concat())?;
        let lines = text.lines().map(str::trim);
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
        let text = lines.collect::<Vec<_>>().join("\n");
        let packed = File::create(folder.join([name, ".gz"].concat()))?;
        zopfli::compress(
            zopfli::Options::default(),
            zopfli::Format::Gzip,
            text.as_bytes(),
            packed,
        )?;
    }
    Ok(())
}
