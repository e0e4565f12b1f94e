//! A folder in which the built command runs.

use std::ops::Range;
use std::path::PathBuf;
use std::process::{Command, Output};

use ndarray::s;
use serde_json::Value;
use tweedie::Image;
use tweedie::image::{self, Overwrite, Picture};

pub(crate) const PHOTO: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../examples/photos/chelsea.png"
);

/// Part of a photograph.
pub(crate) fn photo(rows: Range<usize>, columns: Range<usize>) -> Image {
    let photo = image::read(PHOTO).unwrap().pixels;
    photo.slice(s![.., .., rows, columns]).to_owned()
}

/// The folder.
pub(crate) struct Place(tempfile::TempDir);

impl Place {
    pub(crate) fn empty() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    /// With `clean.png`.
    pub(crate) fn with(clean: Image) -> Place {
        let place = Place::empty();
        place.save("clean.png", &Picture::new(clean));
        place
    }

    /// Adds `recipe.toml` with this text, and the folders `train` and `valid` with a photograph each.
    pub(crate) fn with_recipe(self, text: &str) -> Place {
        for part in ["train", "valid"] {
            std::fs::create_dir(self.path(part)).unwrap();
            std::fs::copy(PHOTO, self.path(part).join("cat.png")).unwrap();
        }
        std::fs::write(self.path("recipe.toml"), text).unwrap();
        self
    }

    pub(crate) fn read(&self, name: &str) -> Picture {
        image::read(self.path(name)).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn save(&self, name: &str, picture: &Picture) {
        let path = self.path(name);
        image::write(path, picture, &Default::default(), Overwrite::Allow).unwrap();
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tweedie"));
        command
            .current_dir(self.0.path())
            .args(line.split_whitespace());
        command
    }

    pub(crate) fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// Runs a line that must succeed; its standard output.
    pub(crate) fn ok(&self, line: &str) -> String {
        let output = self.run(line);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "tweedie {line}\n{error}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn json(&self, line: &str) -> Value {
        serde_json::from_str(&self.ok(&format!("{line} --json"))).unwrap()
    }

    /// Runs a line that must fail with `code` and one line that holds `part`.
    pub(crate) fn fails(&self, line: &str, code: i32, part: &str) {
        let before = self.files();
        let output = self.run(line);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "tweedie {line}\n{error}");
        assert!(error.contains(part), "tweedie {line}\n{error}");
        if code == 1 {
            assert_eq!(error.trim_end().lines().count(), 1, "{error}");
        }
        assert_eq!(self.files(), before, "tweedie {line} left files");
    }

    pub(crate) fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.0.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Infinite for equal pictures.
    pub(crate) fn psnr(&self, a: &str, b: &str) -> f64 {
        let metrics = self.json(&format!("metrics {a} {b}"));
        match &metrics["psnr"] {
            Value::String(text) if text == "inf" => f64::INFINITY,
            number => number.as_f64().unwrap(),
        }
    }

    pub(crate) fn size(&self, name: &str) -> (usize, usize, usize) {
        let dims = self.read(name).dims();
        (dims.c, dims.h, dims.w)
    }
}
