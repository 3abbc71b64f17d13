import ConvCore
import Testing

@Suite struct GeometryTests {
    /// Every tap of every output, looked at one by one.
    private func countLiveTaps(_ p: Problem) -> Int {
        var count = 0
        for oh in 0..<p.oh {
            for ow in 0..<p.ow {
                for kh in 0..<p.kh {
                    for kw in 0..<p.kw {
                        let ih = oh * p.strideH - p.padTop + kh * p.dilationH
                        let iw = ow * p.strideW - p.padLeft + kw * p.dilationW
                        if ih >= 0, ih < p.ih, iw >= 0, iw < p.iw { count += 1 }
                    }
                }
            }
        }
        return count
    }

    @Test(arguments: [
        "dw:c1h20k9d9", "dw:c3h7w5k9d9", "dw:c2h1k3", "dw:c2h13w17k5d5", "conv:c4o6h16k3s2", "conv:g2c4o6h9w31k7d3",
        "mb3ic2ih11oc2oh6kh2sh2ph0", "mb1ic3ih5oc2oh9kh3ph3",
    ])
    func effectiveWorkIsTheBruteForceCount(text: String) throws {
        let p = try Problem(parsing: text)
        let live = Double(countLiveTaps(p) * p.batch * p.oc * p.icPerGroup)
        #expect(p.effectiveFLOPs == 2 * live)
        #expect(p.nominalFLOPs == 2 * Double(p.batch * p.oc * p.oh * p.ow * p.reduction))
    }

    @Test func ninebyNineDilationNineOnTwentyHasFewLiveTaps() throws {
        let p = try Problem(parsing: "dw:c1h20k9d9")
        let mean = p.effectiveMACs / Double(p.oh * p.ow)
        #expect(mean > 5.2 && mean < 5.4)
    }

    @Test func segmentsCoverEveryOutputOnceWithItsTaps() throws {
        for (input, kernel, stride, dilation, pad) in [(20, 9, 1, 9, 36), (5, 3, 2, 4, 4), (1, 1, 1, 1, 0), (17, 5, 3, 2, 4)] {
            let output = (input + 2 * pad - (kernel - 1) * dilation - 1) / stride + 1
            let axis = Axis(input: input, output: output, kernel: kernel, stride: stride, dilation: dilation, pad: pad)
            #expect(axis.segments.flatMap { Array($0.outputs) } == Array(0..<output))
            for segment in axis.segments {
                for o in segment.outputs { #expect(axis.taps(o) == segment.taps) }
            }
        }
    }

    @Test func segmentsAreCutToALength() throws {
        let axis = Axis(input: 20, output: 20, kernel: 3, stride: 1, dilation: 9, pad: 9)
        #expect(axis.segments.map(\.outputs) == [0..<9, 9..<11, 11..<20] && axis.segments(most: 20) == axis.segments)
        #expect(axis.segments(most: 4).map(\.outputs) == [0..<4, 4..<8, 8..<9, 9..<11, 11..<15, 15..<19, 19..<20])
        #expect(axis.segments(most: 4).map(\.taps) == [1..<3, 1..<3, 1..<3, 0..<3, 0..<2, 0..<2, 0..<2])
        #expect(axis.liveTapCounts == 2...3)
        #expect(axis.taps(ofAny: 0..<9) == 1..<3 && axis.taps(ofAny: 9..<11) == 0..<3 && axis.taps(ofAny: 0..<20) == 0..<3 && axis.taps(ofAny: 3..<3).isEmpty)
        let runs = RowRun.all(try Problem(parsing: "dw:c1h20k3d9"), most: 10)
        #expect(runs.map(\.output) == [0, 9, 11] && runs.map(\.tap) == [1, 0, 0] && runs.map(\.input) == [0, 0, 2])
        #expect(runs.map(\.rows) == [9, 2, 9] && runs.map(\.tapRows) == [2, 3, 2])
        let phases = RowRun.phases(try Problem(parsing: "dw:c1h20k9d9"), radius: 2, most: 4)
        #expect(phases.map(\.output) == [0, 2, 6] && phases.map(\.input) == [0, 2, 6] && phases.map(\.tap) == [2, 2, 2])
        #expect(phases.map(\.rows) == [2, 4, 3] && phases.map(\.tapRows) == [3, 2, 2])
        #expect(RowRun.phases(try Problem(parsing: "dw:c1h20k3d10"), radius: 1, most: 20).map(\.rows) == [10])
        let together = RowRun.together(try Problem(parsing: "dw:c1h7k3d2"), most: 2)
        #expect(together.map(\.output) == [0, 4, 1, 3] && together.map(\.input) == [0, 2, 1, 1] && together.map(\.tap) == [1, 0, 1, 0])
        #expect(together.map(\.rows) == [2, 2, 1, 2] && together.map(\.tapRows) == [3, 3, 2, 3])
        let single = RowRun.together(try Problem(parsing: "dw:c1h20k9d9"), most: 1)
        #expect(single.map(\.output).prefix(4) == [0, 9, 18, 1] && single.map(\.tapRows).prefix(4) == [3, 3, 3, 3] && single.map(\.tap).prefix(4) == [4, 3, 2, 4])
        #expect(single.last?.output == 17 && single.last?.input == 8 && single.last?.tap == 3 && single.last?.tapRows == 2)
        #expect(Axis(input: 4, output: 8, kernel: 1, stride: 1, dilation: 1, pad: 2).liveTapCounts == 0...1)
        let beyond = Axis(input: 4, output: 8, kernel: 1, stride: 1, dilation: 1, pad: 2)
        #expect(beyond.taps(ofAny: 0..<2).isEmpty && beyond.taps(ofAny: 0..<3) == 0..<1)
    }

    /// (input, kernel, stride, dilation, pad): small and large dilations, phases of unequal length, strides that divide the
    /// dilation, share a divisor with it or none, even kernels, lopsided padding, a map smaller than the dilation.
    @Test(arguments: [
        (20, 9, 1, 9, 36), (20, 3, 1, 2, 2), (80, 5, 1, 5, 10), (7, 7, 1, 1, 3), (13, 3, 2, 4, 4), (5, 9, 1, 9, 36), (11, 4, 1, 3, 0),
        (17, 5, 1, 2, 7), (1, 1, 1, 1, 0), (6, 1, 1, 3, 2), (20, 3, 2, 1, 1), (21, 7, 2, 3, 9), (13, 1, 2, 1, 0), (30, 4, 3, 2, 3),
        (40, 5, 4, 6, 12), (9, 11, 2, 1, 5), (5, 5, 2, 7, 14),
    ])
    func phaseTilesHoldEveryLiveTapOnce(input: Int, kernel: Int, stride: Int, dilation: Int, pad: Int) {
        let output = (input + 2 * pad - (kernel - 1) * dilation - 1) / stride + 1
        let axis = Axis(input: input, output: output, kernel: kernel, stride: stride, dilation: dilation, pad: pad)
        for most in 1...7 {
            var live = [[Int]](repeating: [], count: output)
            for tile in axis.phaseTiles(most: most) {
                #expect(tile.count <= most && tile.stride == axis.phaseStride)
                for t in 0..<tile.count {
                    for place in tile.places {
                        let k = place - t * tile.stride
                        guard k >= 0, k < tile.taps.count else { continue }
                        let o = tile.first + t * axis.phaseStep
                        #expect(tile.origin + place * axis.placeStep == o * stride - pad + (tile.taps.lowerBound + k) * dilation)
                        live[o].append(tile.taps.lowerBound + k)
                    }
                }
            }
            #expect(live == (0..<output).map { Array(axis.taps($0)) }, "tiles of \(most)")
        }
    }

    @Test func partsOfTheTapsHoldEveryLiveTapOnceAndFinishOnce() {
        for (kernel, stride, dilation) in [(9, 1, 1), (9, 1, 9), (11, 1, 3), (6, 1, 1), (2, 1, 5), (9, 2, 1), (11, 2, 3), (7, 2, 2)] {
            let output = 20 / stride
            let axis = Axis(
                input: 20, output: output, kernel: kernel, stride: stride, dilation: dilation, pad: dilation * (kernel - 1) / 2)
            var live = [[Int]](repeating: [], count: output)
            var finished = [Int](repeating: 0, count: output)
            for part in axis.partTiles(most: 4, room: 5, isWidth: { $0 % 2 == 1 || $0 == 4 }).joined() {
                for t in 0..<part.tile.count {
                    let o = part.tile.first + t * axis.phaseStep
                    #expect(part.resumes == !live[o].isEmpty || finished[o] == 0)
                    for place in part.tile.places {
                        let k = place - t * part.tile.stride
                        if k >= 0, k < part.tile.taps.count { live[o].append(part.tap + k) }
                    }
                    if part.finishes { finished[o] += 1 }
                }
            }
            #expect(live == (0..<output).map { Array(axis.taps($0)) })
            #expect(finished.allSatisfy { $0 == 1 })
        }
    }

    @Test func runsHoldEveryTileOnceAndOnlyTilesAlike() {
        for (output, kernel, dilation, most) in [(20, 9, 9, 10), (20, 3, 4, 5), (80, 3, 1, 10), (40, 5, 5, 10), (13, 3, 2, 3), (7, 3, 9, 2)] {
            let axis = Axis(input: output, output: output, kernel: kernel, stride: 1, dilation: dilation, pad: dilation * (kernel / 2))
            let tiles = axis.partTiles(most: most, room: 16, isWidth: { $0 % 2 == 1 })
            let places = tiles.map { $0[0].tile.first }
            let runs = TileRun.runs(places: places) { Axis.areAlike(tiles[$0], tiles[$1]) }
            var met: [Int] = []
            for run in runs {
                for i in 0..<run.count {
                    let place = places[run.first] + i * run.step
                    met.append(place)
                    #expect(Axis.areAlike(tiles[places.firstIndex(of: place)!], tiles[run.first]))
                }
            }
            #expect(met.sorted() == places.sorted())
        }
        // The inner tiles of a long row are one run, those of neighbouring phases too.
        #expect(TileRun.runs(places: [0, 10, 20, 30, 40]) { a, b in a == b || (1...3).contains(a) && (1...3).contains(b) }
            .contains(TileRun(first: 1, count: 3, step: 10)))
        #expect(TileRun.runs(places: [0, 1, 2]) { _, _ in true } == [TileRun(first: 0, count: 3, step: 1)])
    }

    @Test func walksMeetEveryOutputOnceAndKnowTheirSides() throws {
        for (height, width, dilation, most) in [(20, 20, 3, 8), (40, 40, 2, 8), (13, 7, 4, 3), (5, 5, 9, 8), (1, 17, 2, 2), (80, 80, 1, 6)] {
            let p = try Problem(parsing: "g16ic16oc16ih\(height)iw\(width)kh3kw3dh\(dilation - 1)dw\(dilation - 1)ph\(dilation)pw\(dilation)")
            for (inRuns, mostRows) in [(false, 1), (true, height), (true, 9), (true, 1)] {
                var met = [Int](repeating: 0, count: height * width)
                for walk in PhaseWalk.all(p, most: most, inRuns: inRuns, mostRows: mostRows) {
                    #expect(walk.pixels <= most)
                    #expect(walk.rowRun.count == 1 || walk.rowRun.count * walk.rows <= mostRows)
                    for i in 0..<walk.rowRun.count {
                        for j in 0..<walk.columnRun.count {
                            let first = walk.first + i * walk.rowRun.step * width + j * walk.columnRun.step
                            let (row, column) = (first / width, first % width)
                            #expect(row < dilation && row + walk.rows * dilation >= height)
                            #expect(walk.hasLeft == (column >= dilation))
                            #expect(walk.hasRight == (column + walk.pixels * dilation < width))
                            for y in 0..<walk.rows {
                                for x in 0..<walk.pixels { met[first + (y * width + x) * dilation] += 1 }
                            }
                        }
                    }
                }
                #expect(met.allSatisfy { $0 == 1 }, "\(height) × \(width), dilation \(dilation), in runs \(inRuns)")
            }
        }
    }

    @Test func layoutsHoldEveryValueAtItsPlace() {
        let (batch, channels, pixels) = (2, 48, 21)
        let plain = AlignedMemory(floats: batch * channels * pixels)
        for i in 0..<batch * channels * pixels { plain.floats[i] = Float(i) }
        func there(_ layout: Layout, _ n: Int, _ c: Int, _ p: Int) -> Int {
            switch layout {
            case .nchw: (n * channels + c) * pixels + p
            case .nhwc: (n * pixels + p) * channels + c
            case .nchw16c: ((n * channels / 16 + c / 16) * pixels + p) * 16 + c % 16
            }
        }
        for from in Layout.allCases {
            let source = AlignedMemory(floats: batch * channels * pixels)
            Layout.convert(plain.floats, from: .nchw, to: source.floats, as: from, batch: batch, channels: channels, pixels: pixels)
            for to in Layout.allCases {
                let target = AlignedMemory(floats: batch * channels * pixels)
                Layout.convert(source.floats, from: from, to: target.floats, as: to, batch: batch, channels: channels, pixels: pixels)
                var wrong = 0
                for n in 0..<batch {
                    for c in 0..<channels {
                        for p in 0..<pixels where target.floats[there(to, n, c, p)] != plain.floats[there(.nchw, n, c, p)] { wrong += 1 }
                    }
                }
                #expect(wrong == 0, "\(from) to \(to)")
            }
        }
        #expect(Layout.nchw16c.holds(channels: 48) && !Layout.nchw16c.holds(channels: 40) && Layout.nhwc.holds(channels: 40))
    }

    @Test func aPhaseIsWholeWhereInputsAndOutputsAreTheSamePlaces() {
        let axis = Axis(input: 20, output: 20, kernel: 9, stride: 1, dilation: 9, pad: 36)
        #expect(axis.phaseTiles(most: 4).map(\.wholePhaseRadius) == [2, 2, 1, 1, 1, 1, 1, 1, 1])
        #expect(axis.phaseTiles(most: 1).allSatisfy { $0.wholePhaseRadius == nil })
        // As many inputs as outputs, but two places from one output to the next.
        let strided = Axis(input: 2, output: 2, kernel: 3, stride: 2, dilation: 1, pad: 1)
        #expect(strided.phaseTiles(most: 4).map(\.places) == [1..<3] && strided.phaseTiles(most: 4)[0].wholePhaseRadius == nil)
    }

    @Test func layersAreToldApart() throws {
        #expect(try Problem(parsing: "mb1ic8ih4oc8kh1").layer == .pw)
        #expect(try Problem(parsing: "g8mb1ic8ih4oc8kh1").layer == .dw)
        #expect(try Problem(parsing: "mb1ic1ih4oc1kh3ph1").layer == .dw, "one channel")
        #expect(try Problem(parsing: "mb1ic8ih4oc8kh1sh2").layer == .conv, "a strided 1×1 is no plain matrix product")
        #expect(try Problem(parsing: "g2mb1ic8ih4oc8kh3").layer == .conv)
    }
}
