'use strict'
// See conformance/suite.js: the rows of the test matrix that this file's name stands for.

require('./conformance/suite.js')(__filename)
