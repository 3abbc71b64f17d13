import ConvCore
import Testing

@Suite struct ProblemTextTests {
    @Test(arguments: [
        "g64mb1ic64ih80oc64oh80kh5dh4ph10n\"dw5\"", "mb1_ic3ih17iw19oc16oh9ow10kh3kw5sh2sw2dh1dw0ph2pw3",
        "mb2ic8ih9oc4oh9kh1ph0_bias0", "g4mb3ic8ih7oc12oh7kh3ph1_silu_n\"a name\"", "ic16ih20oc16kh3",
        "mb1ic1ih1oc1oh1kh1ph0_hardswish", "dw:c64h80k5d5", "pw:c64o128h80_relu", "conv:g2c64o128h80w40k3d2s2",
        "sep:c64o128h80k5d5", "sep:mb2c7o5h9w4k3d2_silu", "g8mb1ic8ih9oc8oh9kh3ph1_relu+oc5", "g8mb1ic8ih9oc8oh9kh3ph1+oc5_silu_n\"a name\"",
        "g8mb1ic8ih9oc8oh5kh3sh2ph1_bias0+oc5n\"s2\"",
    ])
    func textIsReadBackAsTheSameProblem(text: String) throws {
        let problem = try Problem(parsing: text)
        let again = try Problem(parsing: problem.description)
        #expect(again == problem)
        #expect(again.name == problem.name)
        #expect(again.description == problem.description)
    }

    @Test func benchdnnDefaultsAndPromotions() throws {
        let p = try Problem(benchdnn: "ic16ih20oc32oh20kh3")
        #expect(p.batch == 2 && p.groups == 1 && p.strideH == 1 && p.dilationH == 1)
        #expect(p.iw == 20 && p.ow == 20 && p.kw == 3, "a missing width copies the height")
        #expect(p.padTop == 1 && p.padLeft == 1, "a missing padding is deduced")
        let q = try Problem(benchdnn: "mb1ic16ih20oc32kh3")
        #expect(q.oh == 18 && q.padTop == 0, "a missing output is computed without padding")
        #expect(try Problem(benchdnn: "mb1ic1ih9oc1kh3dh1").dilationH == 2, "benchdnn counts dilation from 0")
    }

    @Test func shortFormMeansSamePaddingAndTrueDilation() throws {
        let p = try Problem(shortForm: "dw:c64h80k5d5")
        #expect(p == (try Problem(benchdnn: "g64mb1ic64ih80oc64oh80kh5dh4ph10")))
        #expect(p.layer == .dw)
        #expect(try Problem(shortForm: "pw:c64o128h80").layer == .pw)
        #expect(try Problem(shortForm: "conv:c64o128h80k3d2").layer == .conv)
    }

    @Test(arguments: [
        ("", "empty"), ("ic16oc16kh3", "no iw"), ("mb1ic0ih8oc8kh3", "ic0"), ("mb1ic-4ih8oc8kh3", "1 or more"),
        ("mb1ic8ih8oc8kh3ph-1", "0 or more"), ("mb1ic8ih8oc8kh3zz5", "unknown entry 'zz'"),
        ("mb1ic8ih8oc8kh3ic9", "twice"), ("mb1ic8ih_oc8kh3", "whole number"), ("g3mb1ic8ih8oc8kh3", "does not divide"),
        ("mb1ic8ih8oc8oh40kh3ph1", "contradicts"), ("mb1ic8ih8oc8oh2kh3ph1", "contradicts"), ("mb1ic8ih4oc8kh9", "reaches over"),
        ("mb1ic99999999999999999999ih8oc8kh3", "whole number"), ("mb1ic8388608ih8388608oc8kh1", "2^32"),
        ("mb1ic8id4ih8oc8od4oh8kd3kh3", "3-D"), ("dw:h8", "no c"), ("xx:c8h8", "short forms"), ("mb1ic8ih8oc8kh3dh-2", "0 (dense)"),
        ("ic8ih9oc8oh9kh3+oc4", "behind a depthwise"), ("g8ic8ih9oc8oh9kh3+oc4+oc5", "twice"), ("g8ic8ih9oc8oh9kh3+oc0", "1 or more"),
        ("g8ic8ih9oc8oh9kh3+oc4ic9", "unknown entry"), ("g8ic8ih9oc8oh9kh3+oc", "whole number"),
        ("dw:c8h8k99999999999", "at most"), ("dw:c8h8k5d99999999", "at most"),
    ])
    func badTextIsOneClearLine(text: String, part: String) {
        #expect {
            _ = try Problem(parsing: text)
        } throws: { error in
            let line = "\(error)"
            return line.contains(part) && !line.contains("\n")
        }
    }

    @Test func randomTextNeverTraps() {
        var random = RandomSource(seed: 7)
        let pieces = ["g", "mb", "ic", "oc", "ih", "oh", "kh", "sh", "dh", "ph", "iw", "_", "n", "\"", "-", "0", "1", "7", "64",
                      "99999999999", ":", "dw:", "pw:", "c", "k", "silu", "é", " ", "bias0", "id", "+", "+oc", "sep:"]
        for _ in 0..<20_000 {
            let text = (0..<Int(random.next() % 14)).map { _ in pieces[Int(random.next() % UInt64(pieces.count))] }.joined()
            if let problem = try? Problem(parsing: text) {
                #expect((try? Problem(parsing: problem.description)) == problem)
            }
        }
    }
}
