//! From a region of guest code to machine code.

use crate::blob::Blob;
use crate::builder::Builder;
use crate::finish::finish;
use crate::region::{self, Region, Source};
use crate::vector;
use cranelift_codegen::binemit::Reloc;
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{AbiParam, ExternalName, Signature, UserFuncName, types::I64};
use cranelift_codegen::isa::{CallConv, OwnedTargetIsa};
use cranelift_codegen::settings::{self, Configurable};
use cranelift_codegen::{Context, FinalizedRelocTarget};
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};

/// Cranelift's own optimisations: see docs/jit.md for what they cost and bring.
const OPT: &str = "none";

/// Why there is no code.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The host is not one that code can be made for.
    #[error("no code can be made for this host: {0}; use -accel interp")]
    Host(String),
    /// The interpreter has to run what stands there.
    #[error("the interpreter has to run this code")]
    Refused,
    /// The code generator failed.
    #[error("code generator: {0}")]
    Generator(String),
    /// The machine code is not of the form that the arena takes.
    #[error("unexpected machine code: {0}")]
    Form(&'static str),
}

/// Translates regions. One for each thread that does.
pub struct Compiler {
    isa: OwnedTargetIsa,
    context: Context,
    builder: FunctionBuilderContext,
    control: ControlPlane,
}

impl std::fmt::Debug for Compiler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiler").field("isa", &self.isa.name()).finish_non_exhaustive()
    }
}

impl Compiler {
    /// A translator for this host.
    ///
    /// # Errors
    /// [`CompileError::Host`].
    pub fn new() -> Result<Self, CompileError> {
        let host = |e: &dyn std::fmt::Display| CompileError::Host(e.to_string());
        let mut b = settings::builder();
        for (name, value) in [
            ("opt_level", OPT),
            // It takes half of the time, and the tests have it on.
            ("enable_verifier", if cfg!(debug_assertions) && !cfg!(feature = "fuzzing") { "true" } else { "false" }),
            ("enable_pinned_reg", "true"),
            ("preserve_frame_pointers", "true"),
            ("enable_probestack", "false"),
            ("unwind_info", "false"),
            ("enable_heap_access_spectre_mitigation", "false"),
            ("is_pic", "true"),
        ] {
            b.set(name, value).map_err(|e| host(&e))?;
        }
        let isa =
            cranelift_native::builder().map_err(|e| host(&e))?.finish(settings::Flags::new(b)).map_err(|e| host(&e))?;
        if let Some(feature) = vector::missing_feature(&*isa) {
            return Err(CompileError::Host(format!("it lacks {feature}")));
        }
        Ok(Compiler {
            isa,
            context: Context::new(),
            builder: FunctionBuilderContext::new(),
            control: ControlPlane::default(),
        })
    }

    /// Translates a region.
    ///
    /// # Errors
    /// Why there is no code; the interpreter runs it then.
    pub fn compile(&mut self, source: &Source) -> Result<Blob, CompileError> {
        let region = region::find(source).ok_or(CompileError::Refused)?;
        self.build(source, &region)?;
        let code = self
            .context
            .compile(&*self.isa, &mut self.control)
            .map_err(|e| CompileError::Generator(e.inner.to_string()))?;
        let bytes = code.code_buffer().to_vec();
        let mut jumps = Vec::new();
        for r in code.buffer.relocs() {
            let FinalizedRelocTarget::ExternalName(ExternalName::User(name)) = &r.target else {
                return Err(CompileError::Form("a relocation that is no jump"));
            };
            if r.kind != Reloc::X86CallPCRel4 {
                return Err(CompileError::Form("a relocation that is no jump"));
            }
            jumps.push((r.offset as usize, *name));
        }
        let names = self.context.func.params.user_named_funcs();
        let jumps: Vec<_> = jumps.into_iter().map(|(at, name)| (at, names[name].clone())).collect();
        finish(source, &region, bytes, &jumps)
    }

    /// The Cranelift code of a region, as text, after what it optimises.
    ///
    /// # Errors
    /// As [`Compiler::compile`].
    pub fn clif(&mut self, source: &Source) -> Result<String, CompileError> {
        let region = region::find(source).ok_or(CompileError::Refused)?;
        self.build(source, &region)?;
        self.context.optimize(&*self.isa, &mut self.control).map_err(|e| CompileError::Generator(e.to_string()))?;
        Ok(self.context.func.display().to_string())
    }

    fn build(&mut self, source: &Source, region: &Region) -> Result<(), CompileError> {
        self.context.clear();
        let func = &mut self.context.func;
        func.name = UserFuncName::user(0, u32::from(source.key.offset));
        func.signature = Signature::new(CallConv::Tail);
        func.signature.params.push(AbiParam::new(I64));
        let b = FunctionBuilder::new(func, &mut self.builder);
        Builder::new(b, source, region).build(self.isa.frontend_config())
    }
}
