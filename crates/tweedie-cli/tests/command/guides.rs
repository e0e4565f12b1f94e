//! What the guides of methods and samplers tell people to type is typed.

use std::path::PathBuf;

use tweedie::{method, sampler};

use crate::place::{Place, photo};

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

/// The sections of a guide: each heading of the second rank with what stands below it.
fn sections(text: &str) -> Vec<(String, String)> {
    let parts = text.split("\n## ").skip(1);
    let of = |part: &str| {
        part.split_once('\n')
            .map(|(a, b)| (a.trim().to_owned(), b.to_owned()))
    };
    parts.filter_map(of).collect()
}

/// The commands in a section's shell blocks.
fn commands(section: &str) -> Vec<String> {
    let blocks = section.split("```").skip(1).step_by(2);
    let shell = blocks.filter_map(|block| block.strip_prefix("sh\n"));
    shell
        .flat_map(|block| {
            block
                .replace("\\\n", " ")
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .filter_map(|line| line.strip_prefix("tweedie ").map(str::to_owned))
        .collect()
}

/// A folder with what the guides speak of.
fn place() -> Place {
    let p = Place::with(photo(100..132, 140..172));
    for line in [
        "degrade clean.png --operator identity --noise 0.1 -o noisy.png",
        "degrade clean.png --operator blur --kernel gaussian:1.6 --noise 0.01 -o blurry.png",
        "degrade clean.png --operator mask --mask random:0.5 -o holes.png",
        "degrade clean.png --operator downsample --factor 2 -o small.png",
        "degrade clean.png --operator gray -o grey.png",
        "degrade clean.png --operator quantised --bits 2 --matrix gaussian --ratio 0.1 --noise 0.05 -o bits.npz",
    ] {
        p.ok(line);
    }
    std::fs::rename(p.path("holes.mask.png"), p.path("mask.png")).unwrap();
    p
}

/// Each name has one section, whose one command works.
fn check(names: &[&str], guides: &[PathBuf]) {
    let p = place();
    let mut seen = Vec::new();
    for guide in guides {
        let text = std::fs::read_to_string(guide).unwrap();
        for (name, section) in sections(&text) {
            if !names.contains(&name.as_str()) {
                continue;
            }
            let commands = commands(&section);
            assert_eq!(commands.len(), 1, "{name} in {guide:?}: {commands:?}");
            // What no prior of the command can run is at least listed.
            let said = p.ok(&commands[0]);
            let named = commands[0].contains(&name) || said.contains(&name);
            assert!(named, "{name}: {}", commands[0]);
            seen.push(name);
        }
    }
    for name in names {
        let times = seen.iter().filter(|seen| seen == name).count();
        assert_eq!(times, 1, "{name} has {times} sections in {guides:?}");
    }
}

#[test]
fn every_method_has_a_guide_that_works() {
    let folder = std::fs::read_dir(docs().join("methods")).unwrap();
    let guides: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
    check(method::Settings::NAMES, &guides);
}

#[test]
fn every_sampler_has_a_guide_that_works() {
    check(sampler::Settings::NAMES, &[docs().join("samplers.md")]);
}

/// The table of all methods is what `list methods` says. Wrong: a table that was forgotten when a method came.
#[test]
fn the_table_of_methods_is_true() {
    let p = Place::empty();
    let mut table = String::from(
        "| family | name | gives | evaluations | needs | noise | paper |\n|---|---|---|---|---|---|---|\n",
    );
    for method in p.json("list methods").as_array().unwrap() {
        let text = |key: &str| method[key].as_str().unwrap().replace('_', " ");
        let needs = method["needs"].as_array().unwrap().iter();
        let needs: Vec<&str> = needs.map(|need| need.as_str().unwrap()).collect();
        let nfe = [0, 1].map(|i| method["nfe"][i].to_string());
        let nfe = match &nfe {
            [least, most] if least == most => least.clone(),
            [least, most] => format!("{least} to {most}"),
        };
        table += &format!(
            "| {} | `{}` | {} | {nfe} | {} | {} | {} |\n",
            text("family"),
            method["name"].as_str().unwrap(),
            text("kind"),
            needs.join(", "),
            text("noise"),
            text("paper"),
        );
    }
    let guide = std::fs::read_to_string(docs().join("methods/README.md")).unwrap();
    assert!(
        guide.contains(&table),
        "docs/methods/README.md should hold\n{table}"
    );
}
