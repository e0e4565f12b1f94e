//! What travels in a file about how it was made.

use std::path::Path;

use serde_json::Value;

/// Settings as JSON for a PNG's text, with the version. Of paths only the last part is kept: where files lie on the machine
/// that made a picture is nobody's business.
pub fn record(mut settings: Value) -> String {
    strip(&mut settings);
    if let Value::Object(map) = &mut settings {
        map.insert("version".into(), env!("CARGO_PKG_VERSION").into());
    }
    settings.to_string()
}

fn strip(value: &mut Value) {
    match value {
        Value::String(text) if text.contains(['/', '\\']) => {
            let path = text.replace('\\', "/");
            let name = Path::new(&path).file_name();
            *text = name.map_or(String::new(), |n| n.to_string_lossy().into_owned());
        }
        Value::Array(values) => values.iter_mut().for_each(strip),
        Value::Object(map) => map.values_mut().for_each(strip),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_stay_at_home() {
        let text = record(serde_json::json!({
            "operator": { "kind": "mask", "path": "/home/someone/secret/holes.png" },
            "kernels": ["C:\\Users\\someone\\k.txt", "gaussian:1.6"],
            "seed": 3,
        }));
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["operator"]["path"], "holes.png");
        assert_eq!(value["kernels"][0], "k.txt");
        assert_eq!(value["kernels"][1], "gaussian:1.6");
        assert!(!text.contains("someone") && value["version"].is_string());
    }
}
