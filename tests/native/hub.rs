//! The hub as an adversary: a server that breaks off, falls silent or names files where none belong.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::{disc, write_small_toml};

/// What the server does when a file is asked for.
#[derive(Clone)]
enum Sends {
    All,
    /// Half of it, and then nothing more.
    Half,
    /// All of it, under a hash of the server's choice.
    Named(&'static str),
    /// Not even an answer, for a minute.
    Silence,
    /// That it has so many bytes.
    Claim(u64),
}

/// Serves one dataset with these files, for as long as the test runs; gives its address.
fn serve(files: Vec<(&'static str, Sends)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let names: Vec<_> = files.iter().map(|(name, _)| format!("{{\"rfilename\":\"{name}\"}}")).collect();
    let info = format!("{{\"siblings\":[{}],\"sha\":\"abc\"}}", names.join(","));
    let files: Arc<HashMap<String, (usize, Sends)>> =
        Arc::new(files.into_iter().enumerate().map(|(i, (name, sends))| (name.to_string(), (i, sends))).collect());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (files, info) = (Arc::clone(&files), info.clone());
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let first = lines.next()?.ok()?;
                let head: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                let path = first.split(' ').nth(1)?.to_string();
                let reply =
                    |stream: &mut std::net::TcpStream, status: &str, headers: &str, length: usize, body: &[u8]| {
                        let head = format!(
                            "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n"
                        );
                        let _ = stream.write_all(head.as_bytes());
                        let _ = stream.write_all(body);
                    };
                if path.starts_with("/api/datasets/") {
                    reply(&mut stream, "200 OK", "Content-Type: application/json\r\n", info.len(), info.as_bytes());
                    return Some(());
                }
                let (index, sends) = files.get(path.split("/resolve/main/").nth(1)?)?.clone();
                let bytes = disc(index, 16).to_png().unwrap();
                let hash = match sends {
                    Sends::Named(hash) => hash.to_string(),
                    _ => format!("hash{index}"),
                };
                // "Range: bytes=START-END", with or without an end.
                let range =
                    head.iter().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(String::from))?;
                let claimed = match sends {
                    Sends::Silence => {
                        std::thread::sleep(Duration::from_secs(60));
                        return None;
                    }
                    Sends::Claim(length) => length,
                    _ => bytes.len() as u64,
                };
                let (from, to) = range.split_once('-')?;
                let from: usize = from.parse().ok()?;
                let to = to.parse().map_or(bytes.len(), |last: usize| last + 1);
                let wanted = bytes.get(from..to)?;
                let body = match (wanted.len(), sends) {
                    (length, Sends::Half) if length > 1 => &wanted[..length / 2],
                    _ => wanted,
                };
                let headers = format!(
                    "ETag: \"{hash}\"\r\nX-Repo-Commit: abc\r\nContent-Range: bytes {from}-{}/{claimed}\r\n",
                    to - 1
                );
                reply(&mut stream, "206 Partial Content", &headers, wanted.len(), body);
                Some(())
            });
        }
    });
    address
}

fn train(folder: &Path, endpoint: &str, out: &str) -> (Output, String) {
    write_small_toml(folder, 16, "");
    let output = Command::new(env!("CARGO_BIN_EXE_train"))
        .args(["--device", "cpu", "--out", out, "--data", "somebody/discs", "--config", "small.toml", "--steps", "1"])
        .current_dir(folder)
        .env("HF_ENDPOINT", endpoint)
        .env("HF_HOME", folder.join("cache"))
        .env("HF_HUB_DOWNLOAD_TIMEOUT", "2")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, said)
}

const NOBODY: &str = "http://127.0.0.1:9";

#[test]
fn a_dataset_is_fetched_once_and_serves_off_line() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = serve(vec![("a.png", Sends::All), ("deep/b.png", Sends::All), ("c.txt", Sends::All)]);
    let (output, said) = train(folder.path(), &endpoint, "a");
    assert!(output.status.success() && said.contains("2 pictures"), "{said}");
    let (output, said) = train(folder.path(), NOBODY, "b");
    assert!(output.status.success() && said.contains("2 pictures"), "{said}");
}

#[test]
fn a_download_that_breaks_off_is_an_error_and_half_of_it_serves_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = serve(vec![("a.png", Sends::All), ("b.png", Sends::Half)]);
    let (output, said) = train(folder.path(), &endpoint, "a");
    assert!(!output.status.success() && said.contains("b.png, file 2 of 2"), "{said}");
    let (output, said) = train(folder.path(), NOBODY, "a");
    assert!(!output.status.success() && said.contains("perhaps not all"), "{said}");
    assert!(!folder.path().join("a").exists(), "nothing is started");
    // The next attempt gets the rest.
    let whole = serve(vec![("a.png", Sends::All), ("b.png", Sends::All)]);
    let (output, said) = train(folder.path(), &whole, "a");
    assert!(output.status.success() && said.contains("2 pictures"), "{said}");
}

#[test]
fn a_hub_that_falls_silent_is_not_waited_for_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = serve(vec![("a.png", Sends::All), ("b.png", Sends::Silence)]);
    let before = Instant::now();
    let (output, said) = train(folder.path(), &endpoint, "a");
    assert!(!output.status.success() && said.contains("sent nothing for 2 seconds"), "{said}");
    assert!(said.contains("HF_HUB_DOWNLOAD_TIMEOUT") && before.elapsed() < Duration::from_secs(30), "{said}");
}

#[test]
fn a_dataset_of_terabytes_is_not_begun() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = serve(vec![("a.png", Sends::All), ("b.png", Sends::Claim(1 << 40))]);
    let (output, said) = train(folder.path(), &endpoint, "a");
    assert!(
        !output.status.success() && said.contains("b.png, file 2 of 2: the dataset is larger than 50 GB"),
        "{said}"
    );
}

#[test]
fn names_from_a_server_stay_inside_the_cache() {
    for (name, sends) in
        [("../../../evil.png", Sends::All), ("/tmp/evil.png", Sends::All), ("a.png", Sends::Named("../../evil"))]
    {
        let folder = tempfile::tempdir().unwrap();
        let (output, said) = train(folder.path(), &serve(vec![(name, sends)]), "a");
        assert!(!output.status.success() && said.contains("somebody/discs"), "{said}");
        assert!(said.contains("no place inside") || said.contains("impossible name"), "{said}");
        let written: Vec<_> = walkdir::WalkDir::new(folder.path())
            .into_iter()
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().contains("evil"))
            .collect();
        assert!(written.is_empty() && !Path::new("/tmp/evil.png").exists(), "{written:?}");
    }
}

#[test]
fn a_folder_that_is_not_there_is_no_dataset_of_the_hub() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_train"))
        .args(["--device", "cpu", "--data", "data/pisc"])
        .current_dir(folder.path())
        .env("HF_ENDPOINT", NOBODY)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("data/pisc: there is no such file or folder") && !said.contains("hub"), "{said}");
}
