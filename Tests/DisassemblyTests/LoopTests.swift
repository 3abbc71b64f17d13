import Disassembly
import Testing

@Suite struct LoopTests {
    static func function(_ text: String) -> Function {
        Function(symbol: "f", instructions: text.split(separator: "\n").compactMap { Instruction(line: $0) })
    }

    /// A register tile in one of two nested loops, with a vector that goes through the stack.
    static let nested = function("""
          1000:\txor    %eax,%eax
          1004:\tvmovups (%rsi),%zmm4
          100a:\tvfmadd231ps (%rdi){1to16},%zmm4,%zmm0
          1010:\tvfmadd231ps %zmm4,%zmm5,%zmm1        # 2000 <x>
          1016:\tvmovups %zmm1,0x40(%rsp)
          101c:\tvmovups 0x40(%rsp),%zmm1
          1022:\tvmovups %zmm0,(%rdx){%k1}
          1028:\tlea    0x4(%rdi),%rdi
          102c:\tnotrack jmp *%rax
          1030:\tjne    1004 <f+0x4>
          1032:\tcall   3000 <fmaf@plt>
          1037:\tvfmadd231ss (%rdi),%xmm1,%xmm0
          103c:\tjmp    1000 <f>
          103e:\tret
        """)

    @Test func onlyTheInnermostLoopIsOne() {
        let loops = Self.nested.innermostLoops
        #expect(loops.map(\.addresses) == [0x1004...0x1030])
    }

    /// What multiplies in the outer loop belongs to no inner one.
    @Test func aLoopIsSeenWithoutThoseInsideIt() {
        #expect(Self.nested.loops.map { $0.instructions.map(\.address) } == [[0x1000, 0x1032, 0x1037, 0x103c], Self.nested.innermostLoops[0].instructions.map(\.address)])
        #expect(Self.nested.loops[0].scalarFMAs == 1)
    }

    @Test func instructionsAreCountedByWhatTheyDo() throws {
        let loop = try #require(Self.nested.innermostLoops.first)
        #expect(loop.multiplyAdds == 2)
        #expect(loop.loads == 3)
        #expect(loop.broadcasts == 1)
        #expect(loop.stores == 2)
        #expect(loop.spills == 2)
        #expect(loop.scalarFMAs == 0)
        #expect(loop.calls == 0)
    }

    @Test func productsCountWhereNothingIsFused() {
        let loops = Self.function("""
              10:\tmovups (%rsi,%rax,4),%xmm1
              14:\tmulps  %xmm2,%xmm1
              17:\taddps  %xmm1,%xmm0
              1a:\tcmp    %rcx,(%rdi,%rax,4)
              1d:\tjl     10 <f>
            """).innermostLoops
        #expect(loops.map(\.multiplyAdds) == [1])
        #expect(loops.map(\.loads) == [2])
        #expect(loops.map(\.stores) == [0])
    }

    @Test func scalarCodeIsSeen() {
        let loops = Self.function("""
              20:\tvfmadd231ss (%rdi),%xmm1,%xmm0
              25:\tcall   3000 <fmaf@plt>
              2a:\tjne    20 <f>
            """).innermostLoops
        #expect(loops.map(\.scalarFMAs) == [1])
        #expect(loops.map(\.calls) == [1])
    }

    @Test func aScalarProductThatMeetsASumIsAMultiplyAdd() {
        let loops = Self.function("""
              30:\tmovss  (%rdi),%xmm1
              34:\tmulss  (%rsi),%xmm1
              38:\taddss  %xmm1,%xmm0
              3c:\taddss  %xmm2,%xmm0
              40:\tjne    30 <f>
            """).innermostLoops
        #expect(loops.map(\.scalarFMAs) == [1])
        #expect(loops.map(\.multiplyAdds) == [0])
    }

    /// A rare case was moved behind the return and jumps back into the middle of the inner loop; a jump table leads to another.
    @Test func blocksThatWereMovedElsewhereBelongToTheirLoop() {
        let loops = Self.function("""
              00:\txor    %eax,%eax
              04:\tvmovups (%rsi),%zmm4
              08:\tcmp    %rax,%rcx
              0c:\tje     40 <f+0x40>
              10:\tvfmadd231ps %zmm4,%zmm5,%zmm1
              14:\tdec    %rax
              18:\tjne    04 <f+0x4>
              1c:\tinc    %rdx
              20:\tjmp    *%rbx
              24:\tdec    %rdi
              28:\tjne    00 <f>
              2c:\tret
              40:\tvfmadd231ps (%rdi),%zmm5,%zmm2
              44:\tjmp    10 <f+0x10>
              48:\tsubps  %xmm0,%xmm1
              4c:\tjmp    24 <f+0x24>
            """).innermostLoops
        #expect(loops.map { $0.instructions.map(\.address) } == [[0x04, 0x08, 0x0c, 0x10, 0x14, 0x18, 0x40, 0x44]])
        #expect(loops.first?.multiplyAdds == 2)
    }

    /// Sums that were left in memory, and beside them a row that is added to as the loop walks along it.
    @Test func sumsInMemoryAreSpills() {
        let loops = Self.function("""
              00:\tvmovups 0x40(%rdx,%r9,8),%zmm1
              04:\tvfmadd231ps (%rsi),%zmm4,%zmm1
              08:\tvmovups %zmm1,0x40(%rdx,%r9,8)
              0c:\tvmovups (%rdi),%zmm2
              10:\tvfmadd231ps (%rsi),%zmm5,%zmm2
              14:\tvmovups %zmm2,(%rdi)
              18:\tadd    $0x40,%edi
              1c:\tcmp    %rdx,%rsi
              20:\tjne    00 <f>
            """).innermostLoops
        #expect(loops.map(\.spills) == [2])
    }

    /// A part of a register that an address is made of changes the address.
    @Test(arguments: [("%rdi", "%edi"), ("%rdi", "%dil"), ("%rdx", "%dl"), ("%rax", "%ax"), ("%r9", "%r9d"), ("%rbx", "%bl")])
    func anAddressThatMovesHoldsNoSum(base: String, part: String) {
        func spills(_ changed: String) -> [Int] {
            Self.function("""
                  00:\tvmovups (\(base)),%zmm1
                  04:\tvfmadd231ps (%rsi),%zmm4,%zmm1
                  08:\tvmovups %zmm1,(\(base))
                  0c:\tadd    $0x40,\(changed)
                  10:\tjne    00 <f>
                """).innermostLoops.map(\.spills)
        }
        #expect(spills(part) == [0])
        #expect(spills("%rcx") == [2])
    }

    /// Entered at its condition, which stands below: what falls into it closes the loop.
    @Test func aLoopMayBeClosedByFallingThrough() {
        let loops = Self.function("""
              00:\tjmp    0c <f+0xc>
              04:\tvfmadd231ps (%rdi),%zmm5,%zmm2
              08:\tadd    $0x40,%rdi
              0c:\tcmp    %rdi,%rsi
              10:\tjne    04 <f+0x4>
              14:\tret
            """).innermostLoops
        #expect(loops.map { $0.instructions.map(\.address) } == [[0x04, 0x08, 0x0c, 0x10]])
    }

    @Test func jumpsThatEnterALoopInItsMiddleMakeNone() {
        let loops = Self.function("""
              00:\tje     08 <f+0x8>
              04:\tinc    %rax
              08:\tinc    %rbx
              0c:\tjne    04 <f+0x4>
              10:\tret
            """).innermostLoops
        #expect(loops.isEmpty)
    }
}
