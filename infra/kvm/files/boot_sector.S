# The probe guest: one boot sector that uses the processor as an operating system does.
#
# From real mode to 32-bit protected mode (with the FPU, as UEFI's first code uses it), to 64-bit mode with
# paging and SSE, and back; then it writes a mark into its own sector on the disk and switches the machine off.
# Real mode alone proves nothing: KVM emulates it even where it can't run the rest.
#
# boot_sector.bin is this file assembled; tests/kvm/test_probe.py does it again and compares:
#   as --64 boot_sector.S -o boot_sector.o && ld -Ttext 0x7c00 --oformat binary boot_sector.o -o boot_sector.bin

        .set    TABLES, 0x10000         # three pages: PML4, PDPT, PD
        .set    EFER, 0xc0000080
        .set    PM1A_CONTROL, 0x604     # q35's, where SeaBIOS puts it
        .set    SLEEP_S5, 0x2000

        .globl  _start
        .code16
_start: cli
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        movb    %dl, drive
        lgdtl   table
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmpl   $0x08, $protected

        .code32
protected:
        movw    $0x10, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        fwait
        fninit
        fld1
        fstp    %st(0)

        movl    $TABLES, %edi
        xorl    %eax, %eax
        movl    $0xc00, %ecx
        cld
        rep stosl
        movl    $TABLES + 0x1003, TABLES
        movl    $TABLES + 0x2003, TABLES + 0x1000
        movl    $0x83, TABLES + 0x2000  # one page of 2 MiB, as it lies
        movl    $TABLES, %eax
        movl    %eax, %cr3
        movl    $0x620, %eax            # PAE, SSE
        movl    %eax, %cr4
        movl    $EFER, %ecx
        rdmsr
        orb     $1, %ah
        wrmsr
        movl    %cr0, %eax
        orl     $0x80000000, %eax
        movl    %eax, %cr0
        ljmpl   $0x18, $long

        .code64
long:   movl    $0x1000000, %ecx
1:      cvtsi2sd %rcx, %xmm0
        decl    %ecx
        jnz     1b
        pushq   $0x08
        pushq   $back
        lretq

        .code32
back:   movl    %cr0, %eax
        andl    $0x7fffffff, %eax
        movl    %eax, %cr0
        movl    $EFER, %ecx
        rdmsr
        andb    $0xfe, %ah
        wrmsr
        xorl    %eax, %eax
        movl    %eax, %cr4
        ljmpl   $0x20, $small

        .code16
small:  movw    $0x28, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    %cr0, %eax
        andb    $0xfe, %al
        movl    %eax, %cr0
        ljmp    $0, $real
real:   xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        sti
        movb    $'b', mark
        movw    $0x0301, %ax            # write one sector
        movw    $0x7c00, %bx
        movw    $1, %cx                 # cylinder 0, sector 1
        movb    drive, %dl
        movb    $0, %dh
        int     $0x13
        movw    $PM1A_CONTROL, %dx
        movw    $SLEEP_S5, %ax
        outw    %ax, %dx
2:      hlt
        jmp     2b

        .balign 8
gdt:    .quad   0
        .quad   0x00cf9a000000ffff      # 0x08: code, 32 bit
        .quad   0x00cf92000000ffff      # 0x10: data
        .quad   0x00af9a000000ffff      # 0x18: code, 64 bit
        .quad   0x00009a000000ffff      # 0x20: code, 16 bit
        .quad   0x000092000000ffff      # 0x28: data, 16 bit
table:  .word   table - gdt - 1
        .long   gdt
drive:  .byte   0

        .org    0x1b0
mark:   .ascii  "?ooted"                # becomes "booted"
        .org    510
        .word   0xaa55
