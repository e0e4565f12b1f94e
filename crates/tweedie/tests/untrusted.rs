//! Untrusted files other than pictures: models, kernels, settings. Whatever is in them, there is an answer or an error.

use std::path::{Path, PathBuf};

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tweedie::checkpoint::{Model, ModelSpec, Precision};
use tweedie::net::PhotoConfig;
use tweedie::operator::{KernelSpec, Spec};
use tweedie::prior::{Network, Parametrisation};
use tweedie::train::Recipe;
use tweedie::{Device, Dims, files};

/// Mutants of each file.
const MUTANTS: u64 = 400;

/// A copy with a few bytes changed, lost, doubled or taken from another place; the end is sometimes cut off.
fn mutant(original: &[u8], rng: &mut impl Rng) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..rng.random_range(1..=4) {
        if bytes.is_empty() {
            break;
        }
        let at = rng.random_range(0..bytes.len());
        match rng.random_range(0..6) {
            0 => bytes[at] = rng.random(),
            1 => bytes[at] ^= 1 << rng.random_range(0..8),
            2 => bytes[at] = b"0123456789-.e\"{}[]=\0\xff"[rng.random_range(0..21)],
            3 => drop(bytes.remove(at)),
            4 => bytes.insert(at, original[rng.random_range(0..original.len())]),
            _ => bytes.truncate(bytes.len() - rng.random_range(0..=bytes.len().min(40))),
        }
    }
    bytes
}

/// Runs `read` on mutants of a file; how many it took. A panic fails the test by itself.
fn survivors(original: &[u8], read: impl Fn(&[u8]) -> bool) -> u64 {
    assert!(read(original), "the file itself is not read");
    let mut taken = 0;
    for seed in 0..MUTANTS {
        let bytes = mutant(original, &mut ChaCha8Rng::seed_from_u64(seed));
        taken += u64::from(read(&bytes));
    }
    // All refused or all taken would mean that the mutants test nothing.
    assert!(
        0 < taken && taken < MUTANTS,
        "{taken} of {MUTANTS} were taken"
    );
    taken
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

fn small_model() -> Vec<u8> {
    let config = PhotoConfig {
        channels: 1,
        widths: vec![2, 4],
        blocks: vec![1, 1],
        embedding: 2,
        maps: false,
        condition: false,
    };
    let model = Model {
        params: config.init(0).unwrap(),
        spec: ModelSpec::new(
            config,
            Parametrisation::Edm { sigma_data: 0.5 },
            [0.002, 80.0],
        ),
    };
    model.to_bytes(Precision::F16).unwrap()
}

#[test]
fn mutated_models() {
    let device = Device::default();
    let model = small_model();
    // Most of the file is header and names; half of the mutants differ in weights alone.
    survivors(&model, |bytes| match Model::from_bytes(bytes) {
        Ok(model) => Network::new(&model, &device).is_ok(),
        Err(_) => false,
    });
}

#[test]
fn mutated_kernels() {
    let folder = Folder::new();
    let table = "# a kernel\n1, 2.5e-1 3\n4; 5 6\n\n7\t8 9e0\n";
    survivors(table.as_bytes(), |bytes| {
        let path = folder.write("kernel.txt", bytes);
        KernelSpec::File(path).build().is_ok()
    });
}

#[test]
fn mutated_operators() {
    let folder = Folder::new();
    let text = r#"kind = "compose"
steps = [
  { kind = "blur", kernel = "gaussian:1.2:5", boundary = "reflect" },
  { kind = "blur", kernel = "motion:4.5:30" },
  { kind = "mask", shape = "random", hidden = 0.5, seed = 3 },
  { kind = "mask", shape = "box", height = 4, width = 0.5 },
  { kind = "gain", gain = "vignette:0.25", scale = 1.5 },
  { kind = "downsample", factor = 2, filter = "disk:1.5" },
  { kind = "gray", weights = "0.25,0.5,0.25" },
]
"#;
    survivors(text.as_bytes(), |bytes| {
        let path = folder.write("operator.toml", bytes);
        let spec = files::read_toml::<Spec>(&path);
        spec.is_ok_and(|spec| spec.build(Dims::new(3, 20, 24)).is_ok())
    });
}

#[test]
fn mutated_recipes() {
    let folder = Folder::new();
    let recipe = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../models/photo/recipe.toml"
    );
    survivors(&std::fs::read(recipe).unwrap(), |bytes| {
        Recipe::open(&folder.write("recipe.toml", bytes)).is_ok()
    });
}

/// Devices have no length and no end.
#[cfg(unix)]
#[test]
fn endless_files_are_refused() {
    let zero = Path::new("/dev/zero");
    let kernel = KernelSpec::File(zero.to_owned()).build();
    assert!(kernel.unwrap_err().to_string().contains("longer than"));
    for text in [
        "kind = 'mask'\nshape = 'picture'\npath = '/dev/zero'",
        "kind = 'gain'\ngain = '/dev/zero'",
    ] {
        let spec: Spec = toml::from_str(text).unwrap();
        assert!(spec.build(Dims::new(1, 4, 4)).is_err(), "{text}");
    }
    for device in ["/dev/zero", "/dev/urandom"].map(Path::new) {
        assert!(Model::open(device).is_err());
        assert!(Recipe::open(device).is_err());
        assert!(files::read_toml::<Spec>(device).is_err());
    }
}
