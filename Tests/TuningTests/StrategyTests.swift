import ConvCore
import Foundation
import Testing

import Tuning

@Suite struct StrategyTests {
    private func search(
        _ space: SearchSpace, _ meter: SyntheticMeter, _ effort: Effort = .quick, seeds: [Int] = [], seed: UInt64 = 1,
        evaluated: @escaping ([Int]) throws -> Void = { _ in }
    ) -> Search {
        Search(space, meter: meter, limits: effort.limits!, seeds: seeds, seed: seed, evaluated: evaluated)
    }

    @Test func exhaustiveFindsTheFloorOfTheValley() throws {
        let space = madeUpSpace([madeUpKernel("pw-a-test", space: grid)])
        let meter = SyntheticMeter(space, cost: valley)
        let decision = try #require(try Strategy.exhaustive.decide(search(space, meter, .exhaustive)))
        #expect(valley(space.candidates[decision.pick]) <= 1.02 * 1030)  // a·b ≤ 32 excludes 5·6 … 8; 5·6 = 30 is in
        #expect(Set(space.candidates.indices.filter { !meter.samples($0, disturbed: true).isEmpty }) == Set(space.candidates.indices))
    }

    @Test(arguments: Strategy.all.map(\.name), [1, 2, 3, 4, 5] as [UInt64])
    func everyStrategyKeepsToItsEvaluationsAndBeatsTheStandard(name: String, seed: UInt64) throws {
        let space = madeUpSpace([madeUpKernel("pw-a-test", space: grid)])
        let meter = SyntheticMeter(space, seed: seed, cost: valley)
        let search = search(space, meter, seed: seed)
        let decision = try #require(try Strategy.named(name)!.decide(search))
        if name != "exhaustive" { #expect(search.measured.count <= Effort.quick.limits!.evaluations) }
        #expect(Set(search.measured).count == search.measured.count)
        #expect(valley(space.candidates[decision.pick]) < valley(space.candidates[space.standards[0]]))
    }

    @Test func theModelGuidedSearchClimbsFromWhatItsModelProposes() throws {
        // A model that errs by a step or two of every parameter.
        let space = madeUpSpace([madeUpKernel("pw-a-test", space: grid)]) { c in
            abs(Double(c.configuration["a"]) - 4) + abs(Double(c.configuration["b"]) - 4)
        }
        for seed in 1...10 as ClosedRange<UInt64> {
            let decision = try #require(try Strategy.model.decide(search(space, SyntheticMeter(space, seed: seed, cost: valley), seed: seed)))
            #expect(valley(space.candidates[decision.pick]) < 1.06 * 1000, "seed \(seed)")
        }
    }

    @Test func seedsAreMeasuredFirst() throws {
        let space = madeUpSpace([madeUpKernel("pw-a-test", space: grid)])
        let seed = try #require(space.place(of: "pw-a-test@a5b6c2"))
        let search = search(space, SyntheticMeter(space, cost: valley), seeds: [seed])
        _ = try Strategy.model.decide(search)
        #expect(search.measured.first == seed)
    }

    @Test func driftBetweenBlocksDoesNotDecide() throws {
        // Rounds differ by up to 50 %, candidates by 4 %: only paired evidence can tell them.
        let space = madeUpSpace([madeUpKernel("pw-a-test", space: grid)])
        let meter = SyntheticMeter(space, noise: 0.002) { $0.name == "pw-a-test@a3b3c2" ? 960 : 1000 }
        let decision = try #require(try Strategy.exhaustive.decide(search(space, meter, .exhaustive)))
        #expect(space.candidates[decision.pick].name == "pw-a-test@a3b3c2")
    }

    @Test func wrongCandidatesAreNeverPicked() throws {
        let space = madeUpSpace([madeUpKernel("pw-a-test", space: grid)])
        let meter = SyntheticMeter(space, wrong: ["pw-a-test@a5b6c2"], cost: valley)
        let decision = try #require(try Strategy.exhaustive.decide(search(space, meter, .exhaustive)))
        #expect(!decision.finalists.contains(space.place(of: "pw-a-test@a5b6c2")!))
        let none = SyntheticMeter(space, wrong: Set(space.candidates.map(\.name)), cost: valley)
        #expect(try Strategy.exhaustive.decide(search(space, none, .exhaustive)) == nil)
    }

    @Test func aWrongCandidateDoesNotEndALocalSearch() throws {
        // Two right ones, and no way from one to the other.
        let space = madeUpSpace([madeUpKernel("pw-a-test", space: ConfigurationSpace([Parameter("a", Array(1...40), standard: 1, "")]))])
        let wrong = Set(space.candidates.filter { ![1, 20].contains($0.configuration["a"]) }.map(\.name))
        for seed in 1...5 as ClosedRange<UInt64> {
            let meter = SyntheticMeter(space, wrong: wrong, seed: seed) { $0.configuration["a"] == 20 ? 900 : 1000 }
            let decision = try #require(try Strategy.local.decide(search(space, meter, seed: seed)))
            #expect(space.candidates[decision.pick].configuration["a"] == 20, "seed \(seed)")
        }
    }

    @Test func theZerosOfTheAnchorAreNoQuiet() throws {
        let space = madeUpSpace([madeUpKernel("pw-a-test", space: .none), madeUpKernel("pw-b-test", space: .none)])
        let search = search(space, SyntheticMeter(space, noise: 0.1) { _ in 1000 })
        try search.measure([0, 1], rounds: 40)
        // The difference of two values that are spread evenly over ± 0.1: half of them lie within 0.059.
        #expect((0.06...0.12).contains(search.noise))
    }

    @Test func aSearchWhoseTimeIsOverStillDecides() throws {
        let space = madeUpSpace([madeUpKernel("pw-a-test", space: grid)])
        let meter = SyntheticMeter(space, cost: valley)
        meter.budget = 20
        let search = search(space, meter, .exhaustive)
        #expect(try Strategy.exhaustive.decide(search) != nil)
        #expect(search.measured.count < 40)
    }

    @Test(arguments: Strategy.all.map(\.name)) func whatTheEndOfTheTimeLeftOutIsNotReported(name: String) throws {
        let space = madeUpSpace([madeUpKernel("pw-a-test", space: grid)])
        let wrong = space.candidates[5].name
        for budget in [0, 3, 20] {
            let meter = SyntheticMeter(space, wrong: [wrong], cost: valley)
            meter.budget = budget
            var told: Set<Int> = []
            _ = try Strategy.named(name)!.decide(search(space, meter) { told.formUnion($0) })
            #expect(told.contains { !meter.isWrong($0) })
            #expect(told.allSatisfy { meter.isWrong($0) || !meter.samples($0, disturbed: true).isEmpty })
        }
    }

    @Test(arguments: Strategy.all.map(\.name)) func whatHoldsTheCaseIsMeasuredFirstAndMeetsTheOthersInTheFinal(name: String) throws {
        let space = madeUpSpace([madeUpKernel("pw-a-test", space: grid), madeUpKernel("pw-held-test", space: .none)])
        let held = try #require(space.place(of: "pw-held-test"))
        for seed in 1...5 as ClosedRange<UInt64> {
            let meter = SyntheticMeter(space, seed: seed) { $0.kernel.name == "pw-held-test" ? 700 : valley($0) }
            let search = Search(space, meter: meter, limits: Effort.quick.limits!, incumbents: [held], seed: seed)
            let decision = try #require(try Strategy.named(name)!.decide(search))
            #expect(search.measured.first == held && decision.pick == held)
            // Slower than what is found, but near: it was in the final all the same.
            let slower = SyntheticMeter(space, seed: seed) { $0.kernel.name == "pw-held-test" ? 1250 : valley($0) }
            let other = Search(space, meter: slower, limits: Effort.quick.limits!, incumbents: [held], seed: seed)
            #expect(try #require(try Strategy.named(name)!.decide(other)).finalists.contains(held))
        }
    }

    @Test func oneSlowSampleDoesNotEndACandidateOfARace() throws {
        let space = madeUpSpace([madeUpKernel("pw-a-test", space: ConfigurationSpace([Parameter("a", Array(1...20), standard: 20, "")]))])
        for seed in 1...10 as ClosedRange<UInt64> {
            let meter = SyntheticMeter(space, seed: seed) { $0.configuration["a"] == 7 ? 900 : 1000 }
            meter.disturbance = { c, sample in sample == 0 && space.candidates[c].configuration["a"] == 7 ? 1.4 : 1 }
            let decision = try #require(try Strategy.racing.decide(search(space, meter, seed: seed)))
            #expect(space.candidates[decision.pick].configuration["a"] == 7, "seed \(seed)")
        }
    }

    @Test func tiesGoToLessScratchThenTheStandardThenTheName() throws {
        let pair = ConfigurationSpace([Parameter("a", [1, 2], standard: 2, "")])
        let heavy = madeUpKernel("pw-heavy-test", space: .none, scratch: { _ in 4096 })
        let light = madeUpKernel("pw-light-test", space: pair)
        let space = madeUpSpace([heavy, light])
        for seed in 1...20 as ClosedRange<UInt64> {
            // All within one percent: whatever the noise says, the pick is the same.
            let meter = SyntheticMeter(space, noise: 0.004, seed: seed) { $0.kernel.name == "pw-heavy-test" ? 1000 : 1005 }
            let decision = try #require(try Strategy.exhaustive.decide(search(space, meter, .exhaustive)))
            #expect(space.candidates[decision.pick].name == "pw-light-test@a2")
            #expect(try #require(decision.regret) < 0.02)
        }
    }

    @Test func aClearWinnerCarriesItsRunnerUpAndTheRatio() throws {
        let space = madeUpSpace([madeUpKernel("pw-fast-test", space: .none), madeUpKernel("pw-slow-test", space: .none)])
        let meter = SyntheticMeter(space) { $0.kernel.name == "pw-fast-test" ? 1000 : 1050 }
        let decision = try #require(try Strategy.exhaustive.decide(search(space, meter, .exhaustive)))
        #expect(space.candidates[decision.pick].name == "pw-fast-test")
        #expect(decision.runnerUp.map { space.candidates[$0].name } == "pw-slow-test")
        let ratio = try #require(decision.ratio), interval = try #require(decision.interval)
        #expect(abs(ratio - 1.05) < 0.01 && interval.contains(1.05) && decision.regret == 0)
    }

    @Test func aPickThatHasMetNobodyHasNoRegret() throws {
        let space = madeUpSpace([madeUpKernel("pw-a-test", space: grid)])
        let meter = SyntheticMeter(space, cost: valley)
        meter.budget = 0
        let alone = try #require(try Strategy.racing.decide(search(space, meter)))
        #expect(alone.finalists.count == 1 && alone.regret == nil)
        // There is nobody else, or nobody who is right.
        let single = madeUpSpace([madeUpKernel("pw-a-test", space: .none)])
        #expect(try #require(try Strategy.racing.decide(search(single, SyntheticMeter(single) { _ in 1000 }))).regret == 0)
        let pair = madeUpSpace([madeUpKernel("pw-a-test", space: .none), madeUpKernel("pw-b-test", space: .none)])
        #expect(try #require(try Strategy.racing.decide(search(pair, SyntheticMeter(pair, wrong: ["pw-b-test"]) { _ in 1000 }))).regret == 0)
    }

    @Test func theSameSeedMeasuresTheSameCandidates() throws {
        let space = madeUpSpace([madeUpKernel("pw-a-test", space: grid)])
        for strategy in Strategy.all {
            let runs = try (0..<2).map { _ in
                let search = search(space, SyntheticMeter(space, cost: valley))
                _ = try strategy.decide(search)
                return search.measured
            }
            #expect(runs[0] == runs[1], "\(strategy.name)")
        }
    }

    @Test func aSpaceWithoutAValidPointIsNamed() {
        let empty = ConfigurationSpace([Parameter("a", [1, 2], standard: 1, "")], constraint: "a > 2", admits: { $0["a"] > 2 })
        #expect(throws: SpaceError.self) { try SpaceError.check([madeUpKernel("pw-none-test", space: empty)]) }
        let odd = ConfigurationSpace([Parameter("a", [1, 2], standard: 1, "")], constraint: "a > 1", admits: { $0["a"] > 1 })
        #expect(throws: SpaceError.self) { try SpaceError.check([madeUpKernel("pw-odd-test", space: odd)]) }
    }
}
