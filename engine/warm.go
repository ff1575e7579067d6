package engine

const maxWarm = 2
