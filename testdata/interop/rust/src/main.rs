//! Tells as JSON what the safetensors crate reads from files, and whether it would write the same ones.
//!
//! usage: told FILE...
//!
//! One line per file: its metadata, its tensors in the order of their bytes with type, shape and SHA-256, and for each of the
//! crate's two ways to write (into memory, into a file) whether it gives the file byte for byte; or the crate's error.
//! Exit status 1 when a file could not be read.

use std::{env, error::Error, fs, process::ExitCode};

use safetensors::{SafeTensors, serialize, serialize_to_file};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

fn told(path: &str) -> Result<Value, Box<dyn Error>> {
    let ours = fs::read(path)?;
    let (_, header) = SafeTensors::read_metadata(&ours)?;
    let file = SafeTensors::deserialize(&ours)?;
    let mut tensors = Vec::new();
    for name in header.offset_keys() {
        let t = file.tensor(&name)?;
        let sum: String = Sha256::digest(t.data())
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        tensors.push(json!({"name": name, "dtype": t.dtype().to_string(), "shape": t.shape(), "sha256": sum}));
    }
    let metadata = header.metadata().clone();
    let in_memory = serialize(file.iter(), metadata.clone())?;
    let again = env::temp_dir().join(format!("told-{}.safetensors", std::process::id()));
    serialize_to_file(file.iter(), metadata.clone(), &again)?;
    let in_file = fs::read(&again)?;
    fs::remove_file(&again)?;
    Ok(json!({
        "file": path, "metadata": metadata, "tensors": tensors,
        "serialize": in_memory == ours, "serialize_to_file": in_file == ours,
    }))
}

fn main() -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for path in env::args().skip(1) {
        let line = told(&path).unwrap_or_else(|e| {
            code = ExitCode::FAILURE;
            json!({"file": path, "error": e.to_string()})
        });
        println!("{line}");
    }
    code
}
