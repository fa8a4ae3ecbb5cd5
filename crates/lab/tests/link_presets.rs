//! The presets, and that the documentation says what they are.

use lab::{Impairments, Preset};

/// The rows of the table in `docs/lab.md`.
fn rows() -> String {
    let row = |preset: Preset| {
        format!("| `{preset}` | {} | {} | {} |\n", preset.up(), preset.down(), preset.source())
    };
    Preset::ALL.into_iter().map(row).collect()
}

#[test]
fn the_documentation_lists_them_as_they_are() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/lab.md");
    let documentation = std::fs::read_to_string(path).expect("docs/lab.md");
    assert!(documentation.contains(&rows()), "docs/lab.md should list the presets so:\n{}", rows());
}

#[test]
fn each_does_something_both_ways() {
    for preset in Preset::ALL {
        for impairments in [preset.up(), preset.down()] {
            assert_ne!(impairments, Impairments::default(), "{preset}");
        }
    }
    assert_eq!(Impairments::default().to_string(), "none");
}
