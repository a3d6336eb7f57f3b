//! Kernels compiled on the machine that runs them, by NVRTC, and kept on disk.
//!
//! A kept file holds the text it was made of, options and compiler included, before the machine code, and a checksum at
//! its end: what another version wrote, or half wrote, is compiled again. Files are written aside and renamed, so that runs
//! that start at once do not disturb each other. Where nothing can be kept, kernels are compiled in every run.
#![allow(unsafe_code, reason = "calls NVRTC")]

use super::CudaError;
use crate::file;
use cudarc::nvrtc::{result, sys};
use std::ffi::{CStr, CString};
use std::path::PathBuf;
use trishift_format::GroupSize;
use trishift_kernels::cuda::{COMMON, Source};

/// Begins every kept file.
const MAGIC: &[u8; 8] = b"tsmcuda1";

/// What a kernel is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Architecture {
    /// Major compute capability.
    pub major: i32,
    /// Minor compute capability.
    pub minor: i32,
}

impl Architecture {
    /// As NVRTC's option has it, with the instructions of this very architecture where it has some of its own.
    pub fn option(self) -> String {
        let own = if self.major >= 9 { "a" } else { "" };
        format!("--gpu-architecture=sm_{}{}{own}", self.major, self.minor)
    }
}

/// Whether NVRTC can be loaded.
pub fn is_available() -> bool {
    // SAFETY: loads a library of a known name; nothing is called in it.
    unsafe { sys::is_culib_present() }
}

/// The architectures that this NVRTC compiles for, by major and minor number in one (90), ascending.
///
/// # Errors
/// [`CudaError::Nvrtc`].
pub fn architectures() -> Result<Vec<i32>, CudaError> {
    let mut count = 0;
    // SAFETY: NVRTC writes one number.
    unsafe { sys::nvrtcGetNumSupportedArchs(&mut count) }.result().map_err(failed("the list of architectures"))?;
    let mut list = vec![0; count.max(0) as usize];
    // SAFETY: the list has the length that NVRTC asked for.
    unsafe { sys::nvrtcGetSupportedArchs(list.as_mut_ptr()) }.result().map_err(failed("the list of architectures"))?;
    Ok(list)
}

/// Machine code of a source, from disk or compiled now. `group` is needed where the source is compiled for one group size.
///
/// # Errors
/// [`CudaError::Nvrtc`] or [`CudaError::Compile`].
pub fn machine_code(
    source: &Source,
    group: Option<GroupSize>,
    architecture: Architecture,
) -> Result<Vec<u8>, CudaError> {
    let options = options(group.filter(|_| source.grouped), architecture);
    let key = format!("NVRTC {}\n{}\n{COMMON}\n{}", version()?, options.join(" "), source.text);
    let kept = cache_file(source, &key);
    if let Some(code) = kept.as_ref().and_then(|path| read(path, &key)) {
        return Ok(code);
    }
    tracing::debug!(kernels = source.name, options = options.join(" "), "compiling");
    let code = compile(source, &options)?;
    if let Some(path) = kept {
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        if let Err(error) = written.and_then(|()| file::write_atomically(&path, &encode(&key, &code))) {
            tracing::debug!(path = %path.display(), %error, "compiled kernels cannot be kept");
        }
    }
    Ok(code)
}

fn options(group: Option<GroupSize>, architecture: Architecture) -> Vec<String> {
    // Without contraction of products and sums, floats are the host's.
    let mut options = vec![architecture.option(), "--std=c++17".into(), "--fmad=false".into(), "-lineinfo".into()];
    options.extend(group.map(|group| format!("--define-macro=GROUP={}", group.get())));
    options
}

fn failed(action: &'static str) -> impl Fn(result::NvrtcError) -> CudaError {
    move |error| CudaError::Nvrtc { action, code: error.to_string() }
}

fn version() -> Result<String, CudaError> {
    let (mut major, mut minor) = (0, 0);
    // SAFETY: NVRTC writes two numbers.
    unsafe { sys::nvrtcVersion(&mut major, &mut minor) }.result().map_err(failed("its version"))?;
    Ok(format!("{major}.{minor}"))
}

/// A program of NVRTC's, destroyed with this value.
struct Program(sys::nvrtcProgram);

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: created by NVRTC and destroyed once.
        let _ = unsafe { result::destroy_program(self.0) };
    }
}

fn compile(source: &Source, options: &[String]) -> Result<Vec<u8>, CudaError> {
    let compile_error = |log: String| CudaError::Compile { name: source.name, log };
    let text = CString::new(format!("{COMMON}\n#line 1 \"{}.cu\"\n{}", source.name, source.text))
        .map_err(|error| compile_error(error.to_string()))?;
    let name = CString::new(format!("{}.cu", source.name)).unwrap_or_default();
    let program = Program(result::create_program(&text, Some(&name)).map_err(failed("a program"))?);
    // SAFETY: the program is alive until the end of this function, as are its text and name.
    if unsafe { result::compile_program(program.0, options) }.is_err() {
        // SAFETY: as above.
        let log = unsafe { result::get_program_log(program.0) }.map_err(failed("a log"))?;
        let bytes: Vec<u8> = log.into_iter().map(|letter| letter as u8).collect();
        let log = CStr::from_bytes_until_nul(&bytes).map(|log| log.to_string_lossy().into_owned());
        return Err(compile_error(log.unwrap_or_default().trim().replace('\n', "; ")));
    }
    let mut len = 0;
    // SAFETY: NVRTC writes the length of the machine code.
    unsafe { sys::nvrtcGetCUBINSize(program.0, &mut len) }.result().map_err(failed("the machine code"))?;
    let mut code = vec![0u8; len];
    // SAFETY: `code` has the length that NVRTC gave.
    unsafe { sys::nvrtcGetCUBIN(program.0, code.as_mut_ptr().cast()) }.result().map_err(failed("the machine code"))?;
    Ok(code)
}

/// Where compiled kernels are kept: `TRISHIFT_CACHE`, else the user's cache folder.
fn cache_folder() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let of_user = || variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    variable("TRISHIFT_CACHE").or_else(|| Some(of_user()?.join("trishift")))
}

fn cache_file(source: &Source, key: &str) -> Option<PathBuf> {
    let name = format!("{}-{:08x}.cubin", source.name, crc32c::crc32c(key.as_bytes()));
    Some(cache_folder()?.join("cuda").join(name))
}

fn encode(key: &str, code: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend((key.len() as u64).to_le_bytes());
    bytes.extend(key.as_bytes());
    bytes.extend(code);
    bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

/// The machine code in a kept file; `None` where it is another's, damaged or missing.
fn read(path: &PathBuf, key: &str) -> Option<Vec<u8>> {
    let bytes = std::fs::read(path).ok()?;
    let (content, checksum) = bytes.split_last_chunk::<4>()?;
    if crc32c::crc32c(content) != u32::from_le_bytes(*checksum) {
        return None;
    }
    let rest = content.strip_prefix(MAGIC)?.strip_prefix(&(key.len() as u64).to_le_bytes())?;
    Some(rest.strip_prefix(key.as_bytes())?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_code_is_used_only_whole_and_for_its_own_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.cubin");
        assert_eq!(read(&path, "text"), None);
        let bytes = encode("text", &[1, 2, 3]);
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&path, "text"), Some(vec![1, 2, 3]));
        assert_eq!(read(&path, "tex"), None);
        assert_eq!(read(&path, "other"), None);
        for len in 0..bytes.len() {
            std::fs::write(&path, &bytes[..len]).unwrap();
            assert_eq!(read(&path, "text"), None, "{len}");
        }
        for position in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[position] ^= 4;
            std::fs::write(&path, &damaged).unwrap();
            assert_eq!(read(&path, "text"), None, "{position}");
        }
    }

    #[test]
    fn architectures_are_named_as_nvrtc_has_them() {
        let option = |major, minor| Architecture { major, minor }.option();
        assert_eq!(option(8, 6), "--gpu-architecture=sm_86");
        assert_eq!(option(9, 0), "--gpu-architecture=sm_90a");
        assert_eq!(option(10, 0), "--gpu-architecture=sm_100a");
    }
}
