import Harness
import Testing

/// Rows of /proc/stat that are made up.
@Suite struct StealTimeTests {
    private let text = """
        cpu  10 20 30 40 50 60 70 35 90 0
        cpu0 1 2 3 4 5 6 7 8 9 0
        cpu1 1 2 3 4 5 6 7 11 9 0
        cpu12 1 2 3 4 5 6 7 16 9 0
        intr 1 2 3 4 5 6 7 1000 9
        """

    @Test func theFirstRowIsOfAllAndTheOthersAreOfOneEach() {
        #expect(StealTime.ticks(in: Array(text.utf8), of: nil) == 35)
        #expect(StealTime.ticks(in: Array(text.utf8), of: [0, 12]) == 24)
        #expect(StealTime.ticks(in: Array(text.utf8), of: [1]) == 11)
        #expect(StealTime.ticks(in: Array(text.utf8), of: [2]) == 0)
    }

    @Test func whatDoesNotTellIsNone() {
        #expect(StealTime.ticks(in: Array("".utf8), of: nil) == 0)
        #expect(StealTime.ticks(in: Array("cpu 1 2 3".utf8), of: nil) == 0)
        #expect(StealTime.shared.ticks >= 0)
    }
}
