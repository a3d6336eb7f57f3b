//! Dense matrix products by cuBLASLt.
//!
//! Matrices are row-major; cuBLASLt's are column-major, which makes every product of ours the transposed one of its own,
//! with the factors exchanged. An algorithm is chosen once for a shape, by the library's own ranking, without timing and
//! without reductions that depend on the order of blocks: the same shapes on the same card give the same bits.
#![allow(unsafe_code, reason = "calls cuBLASLt")]

use super::CudaError;
use super::card::{Buffer, Card, Span};
use cudarc::cublaslt::result::CublasError;
use cudarc::cublaslt::{result, sys};
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::Arc;

/// Bytes that an algorithm may use, as NVIDIA advises for Hopper.
const WORKSPACE: usize = 32 << 20;

/// Whether cuBLASLt can be loaded.
pub(super) fn is_available() -> bool {
    // SAFETY: loads a library of a known name; nothing is called in it.
    unsafe { sys::is_culib_present() }
}

/// Type of a matrix's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// bfloat16.
    Bf16,
    /// float32.
    F32,
    /// int8.
    Int8,
    /// int32.
    Int32,
    /// 8-bit floating point with 3 bits of mantissa.
    F8E4M3,
}

impl Format {
    const fn data_type(self) -> sys::cudaDataType {
        match self {
            Self::Bf16 => sys::cudaDataType_t::CUDA_R_16BF,
            Self::F32 => sys::cudaDataType_t::CUDA_R_32F,
            Self::Int8 => sys::cudaDataType_t::CUDA_R_8I,
            Self::Int32 => sys::cudaDataType_t::CUDA_R_32I,
            Self::F8E4M3 => sys::cudaDataType_t::CUDA_R_8F_E4M3,
        }
    }

    /// Bytes of an element.
    const fn bytes(self) -> usize {
        match self {
            Self::Bf16 => 2,
            Self::F32 | Self::Int32 => 4,
            Self::Int8 | Self::F8E4M3 => 1,
        }
    }
}

/// How a factor lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lies {
    /// As it is multiplied.
    Straight,
    /// Transposed.
    Transposed,
}

/// A product's sizes and formats: C [rows, columns] = A [rows, inner]·B [inner, columns].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProductShape {
    /// Rows of the result.
    pub rows: usize,
    /// Columns of the result.
    pub columns: usize,
    /// Terms of a sum.
    pub inner: usize,
    /// How A and B lie.
    pub lies: [Lies; 2],
    /// Elements of A and B.
    pub factors: Format,
    /// Elements of C.
    pub result: Format,
}

/// cuBLASLt on one card, with memory for its algorithms.
pub struct Products {
    card: Arc<Card>,
    handle: sys::cublasLtHandle_t,
    workspace: Buffer<u8>,
}

// SAFETY: the library's handle may be used from any thread.
unsafe impl Send for Products {}
// SAFETY: as above; calls on one handle may come from several threads at once.
unsafe impl Sync for Products {}

impl std::fmt::Debug for Products {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Products").field("card", &self.card).finish()
    }
}

impl Drop for Products {
    fn drop(&mut self) {
        // SAFETY: created by `create_handle` and destroyed once.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

/// One product whose algorithm is chosen. Rows of its matrices follow each other without gaps.
pub struct Product {
    shape: ProductShape,
    /// How many products of this shape, behind each other.
    batches: usize,
    description: sys::cublasLtMatmulDesc_t,
    /// Layouts of the library's own A, B and C.
    layouts: [sys::cublasLtMatrixLayout_t; 3],
    algorithm: sys::cublasLtMatmulAlgo_t,
}

// SAFETY: descriptions are read-only memory once they are made.
unsafe impl Send for Product {}
// SAFETY: as above.
unsafe impl Sync for Product {}

impl std::fmt::Debug for Product {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.shape.fmt(f)
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        for layout in self.layouts.into_iter().filter(|layout| !layout.is_null()) {
            // SAFETY: created by `create_matrix_layout` and destroyed once.
            let _ = unsafe { result::destroy_matrix_layout(layout) };
        }
        // SAFETY: created by `create_matmul_desc` and destroyed once.
        let _ = unsafe { result::destroy_matmul_desc(self.description) };
    }
}

impl ProductShape {
    fn failed(self) -> impl Fn(CublasError) -> CudaError {
        let Self { rows, columns, inner, .. } = self;
        move |error| CudaError::Product { rows, columns, inner, code: error.to_string() }
    }
}

impl Products {
    /// Starts the library on a card.
    ///
    /// # Errors
    /// [`CudaError`] for the library or its memory.
    pub fn new(card: &Arc<Card>) -> Result<Self, CudaError> {
        let workspace = card.zeros("memory for products", WORKSPACE)?;
        let failed = |error: CublasError| CudaError::Driver { action: "starting cuBLASLt", code: error.to_string() };
        Ok(Self { card: card.clone(), handle: result::create_handle().map_err(failed)?, workspace })
    }

    /// Chooses an algorithm.
    ///
    /// # Errors
    /// [`CudaError::Product`] where there is none.
    pub fn plan(&self, shape: ProductShape) -> Result<Product, CudaError> {
        self.plan_batches(shape, 1)
    }

    /// Chooses an algorithm for so many products of one shape at once. Their A follow each other, as do their B and C.
    ///
    /// # Errors
    /// [`CudaError::Product`] where there is none.
    pub fn plan_batches(&self, shape: ProductShape, batches: usize) -> Result<Product, CudaError> {
        let ProductShape { rows, columns, inner, lies, factors, result: output } = shape;
        let failed = || shape.failed();
        let (compute, scale) = match factors {
            Format::Int8 => (sys::cublasComputeType_t::CUBLAS_COMPUTE_32I, Format::Int32),
            _ => (sys::cublasComputeType_t::CUBLAS_COMPUTE_32F, Format::F32),
        };
        let description = result::create_matmul_desc(compute, scale.data_type()).map_err(failed())?;
        // From here on dropping frees what there is.
        let mut product = Product {
            shape,
            batches,
            description,
            layouts: [null_mut(); 3],
            // SAFETY: plain numbers, overwritten below before anyone reads them.
            algorithm: unsafe { std::mem::zeroed() },
        };
        let attributes = [
            (sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_TRANSA, lies[1]),
            (sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_TRANSB, lies[0]),
        ];
        for (attribute, lies) in attributes {
            // CUBLAS_OP_N and CUBLAS_OP_T.
            let value: i32 = match lies {
                Lies::Straight => 0,
                Lies::Transposed => 1,
            };
            let source = (&raw const value).cast();
            // SAFETY: the description is alive, the attribute has this type.
            unsafe { result::set_matmul_desc_attribute(description, attribute, source, size_of_val(&value)) }
                .map_err(failed())?;
        }
        // A row-major matrix of [rows, columns] is a column-major one of [columns, rows].
        let straight = |lies, [rows, columns]: [usize; 2]| match lies {
            Lies::Straight => [columns, rows],
            Lies::Transposed => [rows, columns],
        };
        let shapes = [
            (factors, straight(lies[1], [inner, columns])),
            (factors, straight(lies[0], [rows, inner])),
            (output, [columns, rows]),
        ];
        for (layout, (format, [height, width])) in product.layouts.iter_mut().zip(shapes) {
            *layout = result::create_matrix_layout(format.data_type(), height as u64, width as u64, height as i64)
                .map_err(failed())?;
            if batches > 1 {
                use sys::cublasLtMatrixLayoutAttribute_t as Attribute;
                let (count, distance) = (batches as i32, (height * width) as i64);
                let [of_count, of_distance]: [*const c_void; 2] =
                    [(&raw const count).cast(), (&raw const distance).cast()];
                // SAFETY: the layout is alive, the attributes have these types.
                unsafe {
                    result::set_matrix_layout_attribute(
                        *layout,
                        Attribute::CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
                        of_count,
                        size_of_val(&count),
                    )
                    .and_then(|()| {
                        result::set_matrix_layout_attribute(
                            *layout,
                            Attribute::CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                            of_distance,
                            size_of_val(&distance),
                        )
                    })
                }
                .map_err(failed())?;
            }
        }
        product.algorithm = self.algorithm(&product)?;
        Ok(product)
    }

    fn algorithm(&self, product: &Product) -> Result<sys::cublasLtMatmulAlgo_t, CudaError> {
        let failed = || product.shape.failed();
        let preference = result::create_matmul_pref().map_err(failed())?;
        let set = |attribute, source: *const c_void, len| {
            // SAFETY: the preference is alive, the attribute has the type that `source` leads to.
            unsafe { result::set_matmul_pref_attribute(preference, attribute, source, len) }.map_err(failed())
        };
        use sys::cublasLtMatmulPreferenceAttributes_t as Attribute;
        use sys::cublasLtReductionScheme_t as Scheme;
        let workspace = WORKSPACE;
        // Reductions in place add in the order in which blocks arrive.
        let schemes = Scheme::CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE as u32
            | Scheme::CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE as u32;
        let workspace_bytes = (&raw const workspace).cast();
        let chosen = set(Attribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace_bytes, size_of::<usize>())
            .and_then(|()| {
                let source = (&raw const schemes).cast();
                set(Attribute::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, source, size_of::<u32>())
            })
            .and_then(|()| {
                let [a, b, c] = product.layouts;
                // SAFETY: all descriptions are alive.
                unsafe { result::get_matmul_algo_heuristic(self.handle, product.description, a, b, c, c, preference) }
                    .map_err(failed())
            });
        // SAFETY: created above and destroyed once.
        let _ = unsafe { result::destroy_matmul_pref(preference) };
        chosen.map(|chosen| chosen.algo)
    }

    /// Multiplies. The buffers hold at least the matrices of the product's shape.
    ///
    /// # Errors
    /// [`CudaError::Product`].
    pub fn multiply<'a>(
        &self,
        product: &Product,
        a: impl Into<Span<'a>>,
        b: impl Into<Span<'a>>,
        c: impl Into<Span<'a>>,
    ) -> Result<(), CudaError> {
        let [a, b, c] = [a.into(), b.into(), c.into()];
        let ProductShape { rows, columns, inner, factors, result: output, .. } = product.shape;
        let bytes = |height: usize, width: usize, format: Format| product.batches * height * width * format.bytes();
        debug_assert!(a.bytes() >= bytes(rows, inner, factors) && b.bytes() >= bytes(inner, columns, factors));
        debug_assert!(c.bytes() >= bytes(rows, columns, output));
        let one = if product.shape.factors == Format::Int8 { 1i32.to_le_bytes() } else { 1f32.to_le_bytes() };
        let zero = [0u8; 4];
        let pointer = |address: u64| address as *mut c_void;
        let [of_a, of_b, of_c] = product.layouts;
        // SAFETY: the buffers are on this card and hold the matrices of the shape; the scale factors have the 4 bytes of
        // the scale's type; the workspace is as large as the algorithm was told.
        unsafe {
            result::matmul(
                self.handle,
                product.description,
                one.as_ptr().cast(),
                zero.as_ptr().cast(),
                pointer(b.address()),
                of_a,
                pointer(a.address()),
                of_b,
                pointer(c.address()),
                of_c,
                pointer(c.address()),
                of_c,
                &raw const product.algorithm,
                pointer(self.workspace.address()),
                WORKSPACE,
                self.card.stream().cu_stream().cast(),
            )
        }
        .map_err(product.shape.failed())
    }
}
