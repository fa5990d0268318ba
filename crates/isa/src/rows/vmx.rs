//! vmx

/// Appends the rows of the chapter `vmx` and goes on to the next chapter.
#[doc(hidden)]
#[macro_export]
macro_rules! rows_vmx {
    ($cb:ident $extra:tt $($acc:tt)*) => { $crate::rows_vsx! { $cb $extra $($acc)*
    } };
}
