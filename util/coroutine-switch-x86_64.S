/*
 * Context switch for the System V ABI of x86-64.
 *
 * A suspended context is its stack pointer; what the ABI has a callee preserve
 * lies on the stack as SavedFrame in coroutine-asm.c.  The object carries no
 * IBT/SHSTK property on purpose: a shadow stack would have to be switched too.
 */
    .text

/* void embr_coroutine_switch(void **save_sp, void *sp) */
    .p2align 4
    .globl embr_coroutine_switch
    .hidden embr_coroutine_switch
    .type embr_coroutine_switch, @function
embr_coroutine_switch:
    .cfi_startproc
    pushq %rbp
    .cfi_adjust_cfa_offset 8
    pushq %rbx
    .cfi_adjust_cfa_offset 8
    pushq %r12
    .cfi_adjust_cfa_offset 8
    pushq %r13
    .cfi_adjust_cfa_offset 8
    pushq %r14
    .cfi_adjust_cfa_offset 8
    pushq %r15
    .cfi_adjust_cfa_offset 8
    subq $8, %rsp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset %rbp, 48
    .cfi_rel_offset %rbx, 40
    .cfi_rel_offset %r12, 32
    .cfi_rel_offset %r13, 24
    .cfi_rel_offset %r14, 16
    .cfi_rel_offset %r15, 8
    stmxcsr (%rsp)
    fnstcw 4(%rsp)

    movq %rsp, (%rdi)
    movq %rsi, %rsp

    ldmxcsr (%rsp)
    fldcw 4(%rsp)
    addq $8, %rsp
    .cfi_adjust_cfa_offset -8
    popq %r15
    .cfi_adjust_cfa_offset -8
    popq %r14
    .cfi_adjust_cfa_offset -8
    popq %r13
    .cfi_adjust_cfa_offset -8
    popq %r12
    .cfi_adjust_cfa_offset -8
    popq %rbx
    .cfi_adjust_cfa_offset -8
    popq %rbp
    .cfi_adjust_cfa_offset -8
    popq %rcx
    .cfi_adjust_cfa_offset -8
    .cfi_register %rip, %rcx
    /* A return would be mispredicted: its call was made on another stack. */
    jmpq *%rcx
    .cfi_endproc
    .size embr_coroutine_switch, . - embr_coroutine_switch

    .p2align 4
    .globl embr_coroutine_begin
    .hidden embr_coroutine_begin
    .type embr_coroutine_begin, @function
embr_coroutine_begin:
    .cfi_startproc
    .cfi_undefined %rip
    movq %r12, %rdi
    callq *%rbx
    ud2
    .cfi_endproc
    .size embr_coroutine_begin, . - embr_coroutine_begin

    .section .note.GNU-stack, "", @progbits
