//! dfp

/// Appends the rows of the chapter `dfp` and goes on to the next chapter.
#[doc(hidden)]
#[macro_export]
macro_rules! rows_dfp {
    ($cb:ident $extra:tt $($acc:tt)*) => { $crate::rows_vmx! { $cb $extra $($acc)*
    } };
}
