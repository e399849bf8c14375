/*
 * Context switch for the procedure call standard of 64-bit Arm.
 *
 * A suspended context is its stack pointer; what the standard has a callee
 * preserve lies on the stack as SavedFrame in coroutine-asm.c.
 */
    .text

/* void embr_coroutine_switch(void **save_sp, void *sp) */
    .p2align 4
    .globl embr_coroutine_switch
    .hidden embr_coroutine_switch
    .type embr_coroutine_switch, %function
embr_coroutine_switch:
    .cfi_startproc
    sub sp, sp, #176
    .cfi_adjust_cfa_offset 176
    stp x19, x20, [sp, #0]
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    .cfi_rel_offset x29, 80
    .cfi_rel_offset x30, 88
    stp d8, d9, [sp, #96]
    stp d10, d11, [sp, #112]
    stp d12, d13, [sp, #128]
    stp d14, d15, [sp, #144]
    mrs x9, fpcr
    str x9, [sp, #160]

    mov x10, sp
    str x10, [x0]
    mov sp, x1

    ldr x10, [sp, #160]
    cmp x9, x10
    b.eq 1f
    msr fpcr, x10
1:
    ldp x19, x20, [sp, #0]
    ldp x21, x22, [sp, #16]
    ldp x23, x24, [sp, #32]
    ldp x25, x26, [sp, #48]
    ldp x27, x28, [sp, #64]
    ldp x29, x30, [sp, #80]
    ldp d8, d9, [sp, #96]
    ldp d10, d11, [sp, #112]
    ldp d12, d13, [sp, #128]
    ldp d14, d15, [sp, #144]
    add sp, sp, #176
    .cfi_adjust_cfa_offset -176
    .cfi_restore x29
    .cfi_restore x30
    br x30
    .cfi_endproc
    .size embr_coroutine_switch, . - embr_coroutine_switch

    .p2align 4
    .globl embr_coroutine_begin
    .hidden embr_coroutine_begin
    .type embr_coroutine_begin, %function
embr_coroutine_begin:
    .cfi_startproc
    .cfi_undefined x30
    mov x0, x20
    blr x19
    brk #1
    .cfi_endproc
    .size embr_coroutine_begin, . - embr_coroutine_begin

    .section .note.GNU-stack, "", %progbits
