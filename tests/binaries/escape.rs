//! Archives that reach out of their folder: nothing outside is written, made executable, or read.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::json;

use crate::common::Stack;
use crate::common::trials::{Test, tests};
use crate::parcel::{Tar, program, zip};
use crate::server::Server;
use crate::shelf::{expect_nothing_lands, expect_runs, served, service, shelf, stack, with_file};

pub(crate) const TESTS: &[Test] = tests![
    a_tar_does_not_climb_out,
    a_zip_does_not_climb_out,
    a_tar_does_not_write_through_a_link,
    a_tar_does_not_link_to_files_outside,
    a_program_that_is_a_link_outside_is_none,
    a_receipt_that_is_a_link_outside_is_none,
    an_absolute_path_stays_inside,
    links_inside_are_kept,
    nobody_becomes_somebody_else,
    folders_that_may_not_be_written_to_are_unpacked,
];

/// A stack beside a folder that is none of its business, which holds a file.
struct Scene {
    server: Server,
    stack: Stack,
    outside: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let stack = stack();
        let outside = stack.root.join("outside");
        fs::create_dir(&outside).expect("a folder");
        fs::write(outside.join("file"), "precious").expect("a file");
        fs::set_permissions(outside.join("file"), fs::Permissions::from_mode(0o640)).expect("its mode");
        Self { server: Server::new(), stack, outside }
    }

    fn serve(&self, name: &str, packed: &[u8]) {
        self.stack.service("one", &service(&json!([served(&self.server, name, packed, "1.0")])));
    }

    /// The folder is as it was.
    #[track_caller]
    fn expect_untouched(&self) {
        let entries = fs::read_dir(&self.outside).expect("the folder").flatten().map(|entry| entry.file_name());
        assert_eq!(entries.collect::<Vec<_>>(), ["file"]);
        let file = self.outside.join("file");
        assert_eq!(fs::read_to_string(&file).expect("the file"), "precious");
        let mode = fs::metadata(&file).expect("the file").permissions().mode();
        assert_eq!(mode & 0o7777, 0o640, "{mode:o}");
        // Nor is anything beside what was fetched.
        for name in ["evil", ".dep/evil"] {
            assert!(!self.stack.root.join(name).exists(), "{name}");
        }
    }
}

fn a_tar_does_not_climb_out() {
    for path in ["../evil", "../../evil", "x/../../evil", "../../outside/evil", "../../../outside/evil"] {
        let scene = Scene::new();
        let mut tar = Tar::default();
        tar.file("tool", 0o755, &program("one"));
        tar.file(path, 0o644, b"evil");
        scene.serve("/tool.tar.gz", &tar.done());
        expect_nothing_lands(&scene.stack, &[path, "outside"]);
        scene.expect_untouched();
    }
}

fn a_zip_does_not_climb_out() {
    for path in ["../evil", "../../outside/evil", "../../../outside/evil"] {
        let scene = Scene::new();
        scene.serve("/tool.zip", &zip(&[("tool", 0o755, &program("one")), (path, 0o644, b"evil")]));
        expect_nothing_lands(&scene.stack, &[path, "outside"]);
        scene.expect_untouched();
    }
}

fn a_tar_does_not_write_through_a_link() {
    let scene = Scene::new();
    let mut tar = Tar::default();
    tar.file("tool", 0o755, &program("one"));
    tar.symlink("way", &scene.outside.display().to_string());
    tar.file("way/evil", 0o644, b"evil");
    tar.file("way/file", 0o777, b"evil");
    scene.serve("/tool.tar.gz", &tar.done());
    expect_nothing_lands(&scene.stack, &["the archive cannot be unpacked"]);
    scene.expect_untouched();
}

fn a_tar_does_not_link_to_files_outside() {
    let scene = Scene::new();
    let mut tar = Tar::default();
    // A second name for the file, and then its contents.
    tar.hard_link("tool", &scene.outside.join("file").display().to_string());
    tar.file("tool", 0o755, &program("one"));
    scene.serve("/tool.tar.gz", &tar.done());
    expect_nothing_lands(&scene.stack, &["the archive cannot be unpacked"]);
    scene.expect_untouched();
}

fn a_program_that_is_a_link_outside_is_none() {
    let scene = Scene::new();
    let mut tar = Tar::default();
    tar.symlink("tool", &scene.outside.join("file").display().to_string());
    scene.serve("/tool.tar.gz", &tar.done());
    expect_nothing_lands(&scene.stack, &["tool.tar.gz", "`tool`", "outside"]);
    scene.expect_untouched();
}

fn a_receipt_that_is_a_link_outside_is_none() {
    let scene = Scene::new();
    let mut tar = Tar::default();
    tar.file("tool", 0o755, &program("one"));
    tar.symlink(".core.json", &scene.outside.join("file").display().to_string());
    scene.serve("/tool.tar.gz", &tar.done());
    scene.stack.up();
    expect_runs(&scene.stack, "one", "tool-1.0/tool");
    scene.expect_untouched();
}

fn an_absolute_path_stays_inside() {
    let scene = Scene::new();
    let mut tar = Tar::default();
    tar.file("tool", 0o755, &program("one"));
    let path = scene.outside.join("evil").display().to_string();
    tar.file(&path, 0o644, b"evil");
    scene.serve("/tool.tar.gz", &tar.done());
    scene.stack.up();
    scene.expect_untouched();
    // As `tar` itself does it: the path counts from the folder.
    assert!(scene.stack.root.join(format!(".dep/tool-1.0{path}")).exists());
}

fn nobody_becomes_somebody_else() {
    let scene = Scene::new();
    let mut tar = Tar::default();
    // Whoever ran it would be whoever fetched it.
    tar.file("tool", 0o6755, &program("one"));
    tar.file("other", 0o6755, &program("other"));
    scene.serve("/tool.tar.gz", &tar.done());
    scene.stack.up();
    for name in ["tool", "other"] {
        let path = scene.stack.root.join(".dep/tool-1.0").join(name);
        assert_eq!(fs::metadata(path).expect("the file").permissions().mode() & 0o7777, 0o755, "{name}");
    }
}

fn folders_that_may_not_be_written_to_are_unpacked() {
    let scene = Scene::new();
    let mut tar = Tar::default();
    tar.folder("bin", 0o555);
    tar.file("bin/tool", 0o555, &program("one"));
    let source = with_file(served(&scene.server, "/tool.tar.gz", &tar.done(), "1.0"), "bin/tool");
    scene.stack.service("one", &service(&json!([source])));
    scene.stack.up();
    expect_runs(&scene.stack, "one", "tool-1.0/bin/tool");
    let mode = fs::metadata(scene.stack.root.join(".dep/tool-1.0/bin")).expect("the folder").permissions().mode();
    assert_eq!(mode & 0o777, 0o755, "{mode:o}");
}

fn links_inside_are_kept() {
    let scene = Scene::new();
    let mut tar = Tar::default();
    tar.file("lib/tool-1", 0o755, &program("one"));
    tar.symlink("lib/tool-next", "tool-1");
    tar.symlink("tool", "lib/tool-next");
    scene.serve("/tool.tar.gz", &tar.done());
    scene.stack.up();
    expect_runs(&scene.stack, "one", "tool-1.0/tool");
    assert_eq!(shelf(&scene.stack.root), ["tool", "tool-1.0"]);
}
